"""Icechunk repositories, read by their specification: which snapshot, its nodes, the chunks of its manifests."""

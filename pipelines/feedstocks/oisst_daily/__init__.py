"""A feedstock repository."""

"""Recipes as feedstock repositories hold them: each folder is one."""

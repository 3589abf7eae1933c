"""The recipe, its description and what it needs."""

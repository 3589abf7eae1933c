"""Many datasets, one dataset: schemas agree on a layout, references are placed at absolute chunk numbers."""

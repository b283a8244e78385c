"""A timm backbone and one linear head a task."""

"""Transforms of training labels, one file each, applied before training to one data set at a time. A module holds

- `Options`: a frozen pydantic model of its options in a method spec; `weight` among them where the transform needs
  relatedness, and 0 adds nothing;
- `NEEDS_RELATEDNESS`: whether it needs the relatedness of the suite;
- `NEEDS_TEACHERS`: whether it needs what single-task networks say of the images;
- `transform(options, tasks, relatedness, known) -> tuple[TrainingLabels, dict[str, LabelChange]]`: the new labels and,
  by task, how many it added and how many contradicted existing ones.

`relatedness` are the pairs of the suite as `Coupling`s on the CPU; `known` are the `TrainingLabels` of
`bench.methods.training_labels`. Validation and test labels are never seen here.
"""

HOLDS = ("Options", "NEEDS_RELATEDNESS", "NEEDS_TEACHERS", "transform")

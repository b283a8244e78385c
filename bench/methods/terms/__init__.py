"""Terms of a loss, one file each. A term module holds

- `Options`: a frozen pydantic model of its options in a method spec, `weight` among them;
- `NEEDS_RELATEDNESS`: whether it couples tasks through the relatedness of the suite;
- `loss(options, tasks, relatedness, outputs, targets) -> Tensor`: a scalar, not yet weighted.

`outputs` are logits float [n, labels] by task; `targets` by task are int64 [n] (multiclass) or int8 [n, labels]
(multilabel), -1 = not annotated. `relatedness` are the pairs of the suite as `Coupling`s on the device.
"""

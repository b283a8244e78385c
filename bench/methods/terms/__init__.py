"""Terms of a loss, one file each. A term module holds

- `Options`: a frozen pydantic model of its options in a method spec, `weight` among them;
- `NEEDS_RELATEDNESS`: whether it couples tasks through the relatedness of the suite;
- `NEEDS_TEACHERS`: whether it learns from what single-task networks say of images without a label;
- `BALANCED`: whether its losses are the tasks' own, by task, which a balancer may weigh against each other;
- `losses(options, tasks, relatedness, outputs, targets) -> dict[str, Tensor]`: scalars, not yet weighted, by task name
  or by the name of a relatedness; the term is their sum.

`outputs` are logits float [n, labels] by task; `targets` are `Targets`; `relatedness` are the pairs of the suite as
`Coupling`s on the device.
"""

HOLDS = ("Options", "NEEDS_RELATEDNESS", "NEEDS_TEACHERS", "BALANCED", "losses")

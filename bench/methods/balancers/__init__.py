"""Balancers, one file each: how the supervised losses of several tasks become one update. A module holds

- `Options`: a frozen pydantic model of its options in a method spec;
- `KIND`: "loss" or "gradient";
- `check(options, tasks) -> Sequence[str]`: what speaks against balancing these tasks so on this machine, in words (a
  task that is not there, a package that is not installed); nothing where all is well;
- `make(options, tasks, seed) -> LossBalancer | GradientBalancer` of `bench.methods.balance`; `tasks` are the names of
  the balanced tasks, in order; `seed` is the run's, for named streams.

Balancers weigh the tasks' own losses (terms with `BALANCED`); couplings are added as they are. What a balancer
remembers between steps is kept in parameters and buffers, so that it travels in checkpoints. Each keeps the scale of
its source: some weights add up to the number of tasks, others to 1; its module says which.
"""

HOLDS = ("Options", "KIND", "check", "make")

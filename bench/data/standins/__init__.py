"""Generators of stand-ins: images drawn from labels, where no copy of a data set is at hand; one module a generator.

A generator module holds

- `Options`: a frozen pydantic model of its options in the `standin` part of a dataset spec;
- `CODE`: the source files whose change makes other images;
- `check(options, dataset, tasks, relatedness) -> list[tuple[key path under standin, message]]`;
- `draw(request) -> Iterator[Chunk]`: the images and labels of one split, deterministic.
"""

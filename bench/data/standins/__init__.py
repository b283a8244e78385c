"""Generators of stand-ins: images drawn from labels, where no copy of a data set is at hand; one module a generator.

A generator module holds

- `Options`: a frozen pydantic model of its options in the `standin` part of a dataset spec;
- `CODE`: the source files whose change makes other images;
- `check(options, dataset, tasks, relatedness) -> Problems`: what cannot be drawn, each with its key path under
  `standin`; `relatedness` is None where the spec names none;
- `labels(request, split) -> LabelTable`: the labels of one split, deterministic, without drawing;
- `draw(request, split) -> Iterator[Chunk]`: the images with those labels, chunk by chunk.

A generator with a table of its own draws it once from a stream that is keyed by the data set's copy name, so that data
sets over one copy share it, and lists the whole vocabulary that it can draw, so that the table depends on nothing else.

`_vocabulary.py` says which of what is drawn a data set tells, `_chances.py` draws values by their frequency, and
`_splits.py` deals people and pictures; a generator's `CODE` has those of the modules that it uses.
"""

HOLDS = ("Options", "CODE", "check", "labels", "draw")

"""Negative controls: a coupled method run again with what the coupling knows taken away, and nothing else changed.

If coupling helps because tasks are related as the relatedness says, its gain must go with it: where the relatedness is
permuted between labels (the same numbers, said of the wrong labels), where it is uniform (true on average, and the same
of every label), and where the coupling has weight zero (which must be the method without coupling, to the last bit).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from bench.errors import UsageError
from bench.runs.parts import BALANCERS, LABELS, TERMS, needs, run_parts
from bench.specs.components import load_part
from bench.specs.method import MethodSpec
from bench.specs.model import Component
from bench.specs.run import RunPart, RunRelatedness
from bench.specs.streams import stream

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["permuted", "uniform", "zero"]
KINDS: tuple[Kind, ...] = get_args(Kind)
TITLES: dict[Kind, str] = {
    "permuted": "relatedness permuted between labels",
    "uniform": "relatedness the same for every label",
    "zero": "coupling weight 0",
}


@dataclass(frozen=True)
class Control:
    """A negative control of the method named `of`; `method` is what is run, with the control's own name and title."""

    of: str
    kind: Kind
    method: MethodSpec

    @property
    def name(self) -> str:
        return self.method.name

    @property
    def title(self) -> str:
        return self.method.title


def control_methods(method: MethodSpec) -> tuple[Control, ...]:
    """The controls of a joint method that uses relatedness, named `<method>_<kind>`; none of any other method."""
    if method.type != "joint" or not needs(method, "NEEDS_RELATEDNESS"):
        return ()
    return tuple(Control(method.name, kind, method.model_copy(update=_named(method, kind))) for kind in KINDS)


def suite_controls(methods: Sequence[MethodSpec]) -> tuple[Control, ...]:
    """The controls of all methods of a suite. Raises `UsageError` where a method already has the name of a control."""
    found = tuple(control for method in methods for control in control_methods(method))
    taken = {method.name for method in methods}
    for control in found:
        if control.name in taken:
            raise UsageError(
                f"method '{control.name}' has the name of a negative control of '{control.of}'",
                hint="give the method another name, or leave out --controls",
            )
    return found


def reference_of(method: MethodSpec, methods: Sequence[MethodSpec]) -> MethodSpec | None:
    """What is left of a coupled method without its coupling, if that is among `methods`.

    It is found by its parts: the same balancer, and the same terms and label transforms but for those that need
    relatedness. For the paper's couplings that is the plain multi-task method.
    """
    wanted = _parts(method, _uncoupled(LABELS, method.labels), _uncoupled(TERMS, method.terms))
    joint = (other for other in methods if other.type == "joint")
    return next((other for other in joint if _parts(other, other.labels, other.terms) == wanted), None)


def controlled_relatedness(kind: Kind, relatedness: RunRelatedness, seed: int) -> RunRelatedness:
    """The relatedness as a control uses it in the run with that seed; a zero control leaves it as it is.

    `permuted`: every label of the first task gets the row of another one, a different permutation for each seed, from
    the stream (seed, "control", name of the relatedness). With a single label there is nothing to permute. `uniform`:
    every label gets the mean row; where the first task is multilabel, presence and absence of a label say the same,
    the mean of both.
    """
    if kind == "zero":
        return relatedness
    return _uniform(relatedness) if kind == "uniform" else _permuted(relatedness, seed)


def controlled_parts(kind: Kind, package: str, parts: tuple[RunPart, ...]) -> tuple[RunPart, ...]:
    """Terms or label transforms (of that package) as a control uses them: a zero control gives couplings weight 0.

    Raises `UsageError` for a coupling that has no option `weight`.
    """
    if kind != "zero":
        return parts
    return tuple(_without_weight(part) if _is_coupling(package, part.name) else part for part in parts)


def moved_places(rows: Sequence[Hashable], random: np.random.Generator) -> list[int]:
    """For each place the place whose row it gets: never its own, and an equal row as rarely as can be.

    Equal rows stand together, otherwise in random order, and all places move on by the size of the largest group of
    equal rows. So everything leaves its group; where more than half of the rows are equal, as many of them leave as
    there are others. With all rows different it is a random cycle through all places.
    """
    groups: dict[Hashable, list[int]] = {}
    for place in random.permutation(len(rows)).tolist():
        groups.setdefault(rows[place], []).append(place)
    order = [place for group in groups.values() for place in group]
    step = max(map(len, groups.values())) % len(rows) or 1  # all rows equal: any step does
    source = {place: order[(i + step) % len(order)] for i, place in enumerate(order)}
    return [source[place] for place in range(len(rows))]


def _permuted(relatedness: RunRelatedness, seed: int) -> RunRelatedness:
    matrix, absent = relatedness.matrix, relatedness.absent
    rows = tuple(zip(matrix, absent, strict=True)) if absent is not None else matrix
    places = moved_places(rows, stream(seed, "control", relatedness.name))
    update = {"matrix": tuple(matrix[place] for place in places)}
    if absent is not None:
        update["absent"] = tuple(absent[place] for place in places)
    return relatedness.model_copy(update=update)


def _uniform(relatedness: RunRelatedness) -> RunRelatedness:
    matrix, absent = relatedness.matrix, relatedness.absent
    if absent is None:
        row = tuple(_mean(column) for column in zip(*matrix, strict=True))
        return relatedness.model_copy(update={"matrix": (row,) * len(matrix)})
    both = tuple(
        tuple(_mean(cells) for cells in zip(present, away, strict=True))
        for present, away in zip(matrix, absent, strict=True)
    )
    return relatedness.model_copy(update={"matrix": both, "absent": both})


def _mean(cells: Sequence[float | None]) -> float | None:
    """None where nothing is said."""
    said = [cell for cell in cells if cell is not None]
    return math.fsum(said) / len(said) if said else None


def _named(method: MethodSpec, kind: Kind) -> dict[str, str]:
    return {"name": f"{method.name}_{kind}", "title": f"{method.title}: {TITLES[kind]}"}


def _is_coupling(package: str, name: str) -> bool:
    return bool(load_part(package, name, "part").NEEDS_RELATEDNESS)


def _uncoupled(package: str, components: Sequence[Component]) -> tuple[Component, ...]:
    return tuple(component for component in components if not _is_coupling(package, component.name))


def _parts(method: MethodSpec, labels: Sequence[Component], terms: Sequence[Component]) -> tuple[object, ...]:
    """What must be equal for two methods to be the same; options that are left out count as their defaults."""
    balancer = run_parts(BALANCERS, [method.balancer]) if method.balancer is not None else None
    return balancer, run_parts(LABELS, labels), run_parts(TERMS, terms)


def _without_weight(part: RunPart) -> RunPart:
    if "weight" not in part.options:
        raise UsageError(
            f"'{part.name}' couples tasks but has no option `weight`, so no control can turn it off",
            hint="give its `Options` a `weight`, of which 0 means that nothing is coupled",
        )
    return part.model_copy(update={"options": {**part.options, "weight": 0.0}})

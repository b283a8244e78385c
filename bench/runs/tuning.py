"""Fair effort: what is tried for each method before it is run, and what is chosen.

Every method and every single-task twin of a suite gets the same number of trials, and validation alone chooses. In a
grid a method may have fewer combinations than another, for want of an option that is tuned; it then tries each of its
own with more seeds, so that the number of trials, the least common multiple, is the same for all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from bench.errors import Problem, UsageError, did_you_mean
from bench.runs.parts import BALANCERS, LABELS, TERMS
from bench.specs.budget import OF_EVERY_METHOD, BudgetSpec, Choice, Optimizer, Range, Tuning
from bench.specs.components import load_part, part_names, read_options
from bench.specs.document import Document, KeyPath
from bench.specs.method import MethodSpec
from bench.specs.model import Component

FIRST_TRIAL_SEED = 1000
"""Seeds of trials count from here, those that are reported from 0: no number that is reported was chosen by."""

Settings = Mapping[str, float]
"""Values by what they are of: `learning_rate`, `weight_decay`, `<part>.<option>`."""
Space = Mapping[str, Choice]
"""What may be chosen from, by the same names."""

DIVERGED = -math.inf
"""The score of a trial that diverged: worse than any other."""


@dataclass(frozen=True)
class Trial:
    """One run of a search: its settings, and its seed, from `FIRST_TRIAL_SEED` on for each repeat of the settings."""

    settings: Settings
    seed: int

    @property
    def title(self) -> str:
        return f"{said(self.settings)} seed {self.seed}"


def said(settings: Settings) -> str:
    """Settings in a line."""
    return ", ".join(f"{name}={value:.4g}" for name, value in settings.items())


def space_of(tuning: Tuning, method: MethodSpec, fixed: Collection[str] = ()) -> dict[str, Choice]:
    """What of a tuning's space a method has, in the space's order; nothing of the parts in `fixed`."""
    parts = {component.name for component in _components(method)} - set(fixed)
    return {name: choice for name, choice in tuning.space.items() if name in OF_EVERY_METHOD or _part(name)[0] in parts}


def trials_each(tuning: Tuning, spaces: Sequence[Space]) -> int:
    """The number of trials that each of several methods gets, whose spaces these are."""
    return tuning.trials or math.lcm(*(len(_places(space)) for space in spaces))


def grid_trials(space: Space, total: int) -> tuple[Trial, ...]:
    """`total` trials of a space of lists: all combinations, the last name changing fastest, then all with another seed.

    The number of combinations must divide `total`.
    """
    places = _places(space)
    return tuple(Trial(places[i % len(places)], FIRST_TRIAL_SEED + i // len(places)) for i in range(total))


def drawn_trials(
    tuning: Tuning, space: Space, seed: int, score_of: Callable[[Trial], float | None]
) -> tuple[Trial, ...]:
    """The trials that Optuna asks for, as far as they are known: tpe asks for none before the last one has a score.

    The search is made anew from scores each time, from the same seed, so a search that was interrupted goes on with the
    trials that it would have made. `score_of` is None for a trial that has not ended. A trial that diverged, or whose
    score is not defined, is told as failed. Raises `UsageError` where Optuna is not installed.
    """
    optuna = _optuna()
    sampler = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}[tuning.search]
    study = optuna.create_study(direction="maximize", sampler=sampler(seed=seed % 2**32))
    distributions = {
        name: optuna.distributions.FloatDistribution(choice.low, choice.high, log=choice.log)
        if isinstance(choice, Range)
        else optuna.distributions.CategoricalDistribution(choice)
        for name, choice in space.items()
    }
    found: list[Trial] = []
    for _ in range(tuning.trials or 0):
        asked = study.ask(distributions)
        settings = {name: asked.params[name] for name in space}
        repeats = sum(earlier.settings == settings for earlier in found)
        found.append(Trial(settings, FIRST_TRIAL_SEED + repeats))
        if tuning.search == "random":
            continue
        score = score_of(found[-1])
        if score is None:
            break
        if math.isfinite(score):
            study.tell(asked, score)
        else:
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
    return tuple(found)


def choose(trials: Sequence[Trial], scores: Sequence[float]) -> Settings | None:
    """The settings with the best mean score over their seeds, the earliest of equals; None where all failed.

    Higher is better. Settings of which one trial diverged (`DIVERGED`) or has no score (NaN) are not chosen.
    """
    by_settings: dict[tuple[tuple[str, float], ...], list[float]] = {}
    for trial, score in zip(trials, scores, strict=True):
        by_settings.setdefault(tuple(trial.settings.items()), []).append(score)
    means = {settings: math.fsum(found) / len(found) for settings, found in by_settings.items()}
    sound = [settings for settings, mean in means.items() if math.isfinite(mean)]
    best = max(sound, key=lambda settings: means[settings], default=None)
    return None if best is None else dict(best)


def tuned_method(method: MethodSpec, settings: Settings) -> MethodSpec:
    """The method with options of its parts as they are in `settings`."""
    return method.model_copy(
        update={
            "terms": tuple(_tuned(component, settings) for component in method.terms),
            "labels": tuple(_tuned(component, settings) for component in method.labels),
            "balancer": _tuned(method.balancer, settings) if method.balancer is not None else None,
        }
    )


def tuned_optimizer(optimizer: Optimizer, settings: Settings) -> Optimizer:
    """The optimiser with what `settings` say of it."""
    own = {name: float(settings[name]) for name in OF_EVERY_METHOD if name in settings}
    return Optimizer.model_validate({**optimizer.model_dump(), **own})


def tuning_problems(budget: BudgetSpec, document: Document) -> list[Problem]:
    """What a budget tunes that nothing has, and values that what it tunes does not take."""
    if budget.tuning is None:
        return []
    problems: list[Problem] = []
    if budget.seeds > FIRST_TRIAL_SEED:
        message = f"at most {FIRST_TRIAL_SEED} with `tuning`, whose trials have the seeds from there on"
        problems.append(document.problem(("seeds",), message))
    for name, choice in budget.tuning.space.items():
        path: KeyPath = ("tuning", "space", name)
        unknown = _unknown(name)
        if unknown:
            problems.append(document.problem(path, unknown, at_key=True))
            continue
        reasons = {place: _refusal(budget, name, value) for place, value in _values_with_places(choice)}
        refused = {place: why for place, why in reasons.items() if why}
        ends = {place: why for place, why in refused.items() if place}
        problems += [document.problem((*path, *place), why) for place, why in (ends or refused).items()]
    return problems


def _components(method: MethodSpec) -> tuple[Component, ...]:
    return (*method.terms, *method.labels, *((method.balancer,) if method.balancer is not None else ()))


def _part(name: str) -> tuple[str, str]:
    """Part and option of a name."""
    part, _, option = name.partition(".")
    return part, option


def _places(space: Space) -> list[Settings]:
    lists = [choice for choice in space.values() if not isinstance(choice, Range)]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]


def _tuned(component: Component, settings: Settings) -> Component:
    own = {_part(name)[1]: _number(value) for name, value in settings.items() if _part(name)[0] == component.name}
    return Component(name=component.name, **{**component.options, **own})


def _number(value: float) -> float:
    """A whole number as an int, which options of either type take."""
    return int(value) if value.is_integer() else value


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            "the budget searches by Optuna, which is not installed",
            hint="`pip install 'mtl-bench[optuna]'`, or list values for a grid",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _unknown(name: str) -> str:
    """Why nothing can be tuned that has this name; empty where something can."""
    part, option = _part(name)
    if not option:
        return "" if name in OF_EVERY_METHOD else f"nothing to tune is named so{did_you_mean(name, OF_EVERY_METHOD)}"
    package = _package_of(part)
    if package is None:
        known = {known for package in (TERMS, LABELS, BALANCERS) for known in part_names(package)}
        return f"no term, label transform or balancer is named '{part}'{did_you_mean(part, known)}"
    options = load_part(package, part, "part").Options.model_fields
    return "" if option in options else f"'{part}' has no option '{option}'{did_you_mean(option, options)}"


def _package_of(part: str) -> str | None:
    return next((package for package in (TERMS, LABELS, BALANCERS) if part in part_names(package)), None)


def _values_with_places(choice: Choice) -> list[tuple[KeyPath, float]]:
    """Values of a choice by where they stand; of a range the ends, and one between them that is no whole number."""
    if isinstance(choice, Range):
        between = choice.low + (choice.high - choice.low) / math.pi
        return [(("low",), choice.low), (("high",), choice.high), ((), between)]
    return [((i,), value) for i, value in enumerate(choice)]


def _refusal(budget: BudgetSpec, name: str, value: float) -> str:
    """Why what has this name does not take a value; empty where it does."""
    part, option = _part(name)
    try:
        if not option:
            tuned_optimizer(budget.optimizer, {name: value})
        else:
            read_options(load_part(_package_of(part) or "", part, "part").Options, {option: _number(value)})
    except ValidationError as error:
        own = [detail["msg"] for detail in error.errors() if detail["loc"][:1] == (option or name,)]
        # Other options may be needed too; the methods give those.
        return f"{own[0].removeprefix('Input ')} (found {value:g})" if own else ""
    return ""

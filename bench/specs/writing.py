"""A spec as a YAML file that reads back as the same spec."""

from __future__ import annotations

import io

from ruamel.yaml import YAML

from bench.specs.model import Spec


def spec_yaml(spec: Spec) -> str:
    """The text of a spec, with what it took over by `extends` written out; keys that have their default are left out."""
    data = spec.model_dump(mode="json", exclude_defaults=True)
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump({"kind": getattr(spec, "kind"), "name": spec.name} | data, stream)  # noqa: B009 (each kind declares it)
    return stream.getvalue()

"""A spec as a YAML file that reads back as the same spec."""

from __future__ import annotations

import io
from typing import Any

from ruamel.yaml import YAML

from bench.specs.catalog import KIND_OF
from bench.specs.model import Spec


def spec_yaml(spec: Spec) -> str:
    """The text of a spec, with what it took over by `extends` written out, and without what is as by default."""
    data = spec.model_dump(mode="json", exclude_defaults=True)
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.allow_unicode = True
    yaml.width = 120
    stream = io.StringIO()
    yaml.dump({"kind": KIND_OF[type(spec)], "name": spec.name} | data, stream)
    return stream.getvalue()

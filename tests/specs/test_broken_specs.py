"""What is wrong with a spec is told all at once, each with file, line, column, key path and what would be right."""

# ruff: noqa: E501  (a case a line: what is changed, and how each problem then starts)

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from hashlib import sha256

import pytest

GOOD = {
    "colour": """
        kind: task
        name: colour
        title: Colours
        type: multiclass
        labels: [red, green, blue]
        metrics: [macro_f1, accuracy]
        primary: macro_f1
        chance: 0.33
    """,
    "shade": """
        kind: task
        name: shade
        title: Shades
        type: multiclass
        labels: [light, dark]
        metrics: [accuracy]
        primary: accuracy
        chance: 0.5
    """,
    "marks": """
        kind: task
        name: marks
        title: Marks
        type: multilabel
        labels: [dot, line]
        metrics: [mean_f1]
        primary: mean_f1
        chance: 0.5
    """,
    "photos": """
        kind: dataset
        name: photos
        title: Photos
        domain: things
        tasks:
          colour:
            column: colour
            codes: {r: red, g: green, b: blue}
            missing: ["", "?"]
          shade: {column: shade}
        layout: {name: csv, split: part}
        splits:
          official: {a: train, b: validation, c: test}
        licence: none needed
        home_page: https://example.org/
        citation: none
    """,
    "drawings": """
        kind: dataset
        name: drawings
        title: Drawings
        domain: things
        tasks:
          marks:
            columns: {dot: has_dot, line: has_line}
            codes: {"1": present, "0": absent}
        layout: {name: csv}
        splits:
          shares: {train: 0.6, validation: 0.2, test: 0.2}
          by: group
        licence: none needed
        home_page: https://example.org/
        citation: none
    """,
    "marks_of_colours": """
        kind: relatedness
        name: marks_of_colours
        title: Marks of colours
        first_task: colour
        second_task: marks
        origin: {type: knowledge, source: a book}
        unlisted: 0.1
        probabilities:
          red: {dot: 0.9}
          green: {line: 0.8}
          blue: {}
    """,
    "shades_of_colours": """
        kind: relatedness
        name: shades_of_colours
        title: Shades of colours
        first_task: colour
        second_task: shade
        origin: {type: knowledge, source: a book}
        probabilities:
          red: {light: 0.5, dark: 0.5}
          green: {light: 1}
          blue: {dark: 1.0}
    """,
    "counted": """
        kind: relatedness
        name: counted
        title: Shades of colours, counted
        first_task: colour
        second_task: shade
        origin: {type: estimated, dataset: photos, smoothing: 0.5}
    """,
    "net": """
        kind: backbone
        name: net
        title: Net
        family: ResNet
        timm: test_resnet
        options: {drop_rate: 0.1}
    """,
    "alone": """
        kind: method
        name: alone
        title: Alone
        type: single
        terms:
          - name: supervised
    """,
    "together": """
        kind: method
        name: together
        title: Together
        type: joint
        terms:
          - name: supervised
            weight: 2.0
          - {name: distribution_matching, form: kl}
    """,
    "brief": """
        kind: budget
        name: brief
        title: Short
        steps: 6
        seeds: 2
        image_size: 16
        batch: {size: 16, least: 4}
        optimizer: {name: adamw, learning_rate: 1e-3}
        precision: float32
    """,
    "pictures": """
        kind: suite
        name: pictures
        title: Pictures
        datasets: [photos, drawings]
        tasks: [colour, marks]
        relatedness: [marks_of_colours]
        backbones: [net]
        methods: [alone, together]
        budget: brief
        margins: {macro_f1: 0.02, mean_f1: 0.02}
    """,
}


@pytest.fixture
def folder(world):
    """The tiny world and the specs above, all of them good."""
    for name, text in GOOD.items():
        world.write(name, text)
    return world


@dataclass(frozen=True)
class Case:
    """A spec that is broken by replacing text, and the problems of which its file then has all and no others."""

    name: str
    what: str
    changes: dict[str, str]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.what}"


def case(name, what, changes, *problems):
    return Case(name, what, changes, problems)


NEEDED = "this key is needed and is not there"

ANY_KIND = [
    case("net", "no kind", {"kind: backbone\n": ""}, f"1:1: kind: {NEEDED}; one of dataset, task"),
    case(
        "net",
        "unknown kind",
        {"kind: backbone": "kind: backbon"},
        "1:7: kind: 'backbon' is not a kind of spec; did you mean 'backbone'?",
    ),
    case("net", "kind is a list", {"kind: backbone": "kind: [backbone]"}, "1:7: kind: ['backbone'] is not a kind"),
    case("net", "no name", {"name: net\n": ""}, f"1:1: name: {NEEDED}"),
    case("net", "name of another form", {"name: net": "name: My-Net"}, "2:7: name: 'My-Net' is not a name; expected lower"),
    case("net", "name is a number", {"name: net": "name: 50"}, "2:7: name: should be a valid string (found 50)"),
    case("net", "no title", {"title: Net\n": ""}, f"1:1: title: {NEEDED}"),
    case("net", "empty title", {"title: Net": "title: ''"}, "3:8: title: should have at least 1 character"),
    case("net", "title too long", {"title: Net": f"title: {'x' * 121}"}, "3:8: title: should have at most 120 characters"),
    case(
        "net",
        "unknown key",
        {"family: ResNet": "famly: ResNet"},
        f"1:1: family: {NEEDED}",
        "4:1: famly: unknown key 'famly'; did you mean 'family'?",
    ),
    case("net", "key given twice", {"family: ResNet": "title: Net"}, "4:1: title: the key 'title' is given twice (first in line 3)"),
]  # fmt: skip

TASK = [
    case("colour", "unknown type", {"multiclass": "multi_class"}, "4:7: type: 'multi_class' is not allowed; did you mean 'multiclass'"),
    case("colour", "labels no list", {"[red, green, blue]": "red"}, "5:9: labels: should be a valid array (found 'red'); write [red]"),
    case("colour", "label no text", {"[red, green, blue]": "[red, 1, true]"},
         "5:15: labels[1]: should be a valid string (found 1)", "5:18: labels[2]: should be a valid string (found True)"),
    case("colour", "label twice", {"[red, green, blue]": "[red, green, red]"}, "5:9: labels: 'red' is given twice"),
    case("colour", "one class", {"[red, green, blue]": "[red]"}, "5:9: labels: a multiclass task needs at least two labels"),
    case("marks", "no labels", {"[dot, line]": "[]"}, "5:9: labels: should have at least 1 item"),
    case("colour", "primary not among metrics", {"primary: macro_f1": "primary: accuracyy"},
         "7:10: primary: 'accuracyy' is not among the metrics; did you mean 'accuracy'?"),
    case("colour", "unknown metrics", {"[macro_f1, accuracy]": "[macro_f1, acuracy, top5]"},
         "6:21: metrics[1]: metric 'acuracy' is unknown; did you mean 'accuracy'", "6:30: metrics[2]: metric 'top5' is unknown"),
    case("colour", "metrics of other task types", {"[macro_f1, accuracy]": "[macro_f1, mean_f1, mean_accuracy]"},
         "6:21: metrics[1]: 'mean_f1' scores multilabel tasks; this task is multiclass",
         "6:30: metrics[2]: 'mean_accuracy' scores multilabel tasks"),
    case("colour", "chance above 1", {"0.33": "33"}, "8:9: chance: should be less than or equal to 1 (found 33)"),
    case("colour", "chance below 0", {"0.33": "-0.1"}, "8:9: chance: should be greater than or equal to 0 (found -0.1)"),
    case("colour", "metrics no list", {"[macro_f1, accuracy]": "macro_f1"}, "6:10: metrics: should be a valid array (found 'macro_f1'); write [macro_f1]"),
    case("colour", "chance with a comma", {"0.33": "0,33"}, "8:9: chance: should be a valid number (found '0,33'); write 0.33: the decimal sign is a point"),
    case("colour", "chance as a fraction", {"0.33": "1/3"}, "8:9: chance: should be a valid number (found '1/3'); write the number out: 0.3333"),
    case("colour", "chance as a fraction of nothing", {"0.33": "1/0"}, "8:9: chance: should be a valid number (found '1/0')"),
    case("colour", "chance of many digits", {"0.33": "7" * 6000}, "8:9: chance: a whole number of 6000 characters is no value of a spec"),
    case("colour", "chance of many hexadecimal digits", {"0.33": "0x" + "f" * 5000}, "8:9: chance: a whole number of 5002 characters"),
    case("colour", "chance no number", {"0.33": "third"}, "8:9: chance: should be a valid number (found 'third')"),
    case("colour", "several at once", {"multiclass": "single", "chance: 0.33": "chance: 2", "metrics:": "metric:"},
         "4:7: type: 'single' is not allowed", f"1:1: metrics: {NEEDED}", "6:1: metric: unknown key 'metric'; did you mean 'metrics'?",
         "8:9: chance: should be less than or equal to 1 (found 2)"),
]  # fmt: skip

DATASET = [
    case("photos", "unknown task", {"  colour:\n": "  color:\n"}, "6:3: tasks.color: task 'color' is unknown; did you mean 'colour'?"),
    case("photos", "task annotated twice", {"  shade: {": "  colour: {"}, "10:3: tasks.colour: the key 'colour' is given twice (first in line 6)"),
    case("photos", "no tasks", {"  colour:\n    column: colour\n    codes: {r: red, g: green, b: blue}\n    missing: [\"\", \"?\"]\n  shade: {column: shade}\n": "  {}\n"},
         "6:3: tasks: should have at least 1 item"),
    case("photos", "codes of labels that the task has not", {"g: green, b: blue": "g: gren, b: purple"},
         "8:24: tasks.colour.codes.g: task 'colour' has no label 'gren'; did you mean 'green'?",
         "8:33: tasks.colour.codes.b: task 'colour' has no label 'purple'; there is blue, green, red"),
    case("photos", "code also missing", {'"?"': "r"}, "8:12: tasks.colour.codes: the code 'r' is given more than one meaning"),
    case("photos", "code missing and excluded", {'missing: ["", "?"]': 'exclude: ["?"]\n    missing: ["", "?"]'},
         "8:12: tasks.colour.codes: the code '?' is given more than one meaning"),
    case("photos", "code twice", {"g: green": "r: green"}, "8:21: tasks.colour.codes.r: the key 'r' is given twice (first in line 8)"),
    case("photos", "columns for classes", {"{column: shade}": "{columns: {light: l}}"},
         "10:20: tasks.shade.columns: task 'shade' is multiclass: give `column` instead"),
    case("photos", "column and columns", {"{column: shade}": "{column: shade, columns: {light: l}}"},
         "10:35: tasks.shade.columns: give `column` (multiclass) or `columns` (multilabel), not both"),
    case("photos", "no column to read", {"{column: shade}": "{}"}, "10:10: tasks.shade: `column` is needed to read labels of a multiclass task"),
    case("photos", "labels that the task has not", {"{column: shade}": "{column: shade, labels: [light, drak]}"},
         "10:42: tasks.shade.labels[1]: task 'shade' has no label 'drak'; did you mean 'dark'?"),
    case("photos", "unknown layout", {"name: csv": "name: cvs"}, "11:16: layout.name: layout 'cvs' is unknown; did you mean 'csv'?"),
    case("photos", "unknown layout option", {"split: part": "splt: part"}, "11:21: layout.splt: unknown key 'splt'; did you mean 'split'?"),
    case("photos", "layout option of another type", {"split: part": "split: 3"}, "11:28: layout.split: should be a valid string (found 3)"),
    case("photos", "layout without splits", {"splits:\n  official: {a: train, b: validation, c: test}\n": ""},
         "11:9: layout: `splits` is needed with a `layout`"),
    case("photos", "neither layout nor stand-in", {"layout: {name: csv, split: part}\n": ""}, "1:1: give `layout` (to read a copy), `standin`"),
    case("photos", "unknown split", {"b: validation": "b: dev"}, "13:27: splits.official.b: 'dev' is not allowed; there is test, train, validation"),
    case("photos", "no value for a split", {"b: validation, ": ""}, "13:13: splits.official: no value stands for validation"),
    case("photos", "official split and shares", {"splits:\n": "splits:\n  shares: {train: 0.5, validation: 0.25, test: 0.25}\n"},
         "13:3: splits: give one of `official`, `folds` and `shares`"),
    case("photos", "folds without a test fold", {"  official: {a: train, b: validation, c: test}": "  folds: {one: [x], two: [y]}"},
         "13:3: splits: `folds` and `test_fold` go together"),
    case("photos", "unknown test fold", {"  official: {a: train, b: validation, c: test}": "  folds: {one: [x], two: [y]}\n  test_fold: tow\n  carve_validation: 0.2"},
         "14:14: splits.test_fold: there is no fold 'tow'; did you mean 'two'?"),
    case("photos", "a group in two folds", {"  official: {a: train, b: validation, c: test}": "  folds: {one: [x, y], two: [y]}\n  test_fold: two\n  carve_validation: 0.2"},
         "13:10: splits.folds: 'y' stands in more than one fold"),
    case("photos", "folds without validation", {"  official: {a: train, b: validation, c: test}": "  folds: {one: [x], two: [y]}\n  test_fold: two"},
         "13:10: splits.folds: folds have no validation part: give `carve_validation` (by: group)"),
    case("photos", "crop by nothing", {"licence: none needed": "crop: {by: face}\nlicence: none needed"}, "14:12: crop.by: 'face' is not allowed; there is box, points"),
    case("photos", "expected without a source", {"licence: none needed": "expected: {any: {images: {test: 3}}}\nlicence: none needed"},
         "14:17: expected.any.source: this key is needed and is not there"),
    case("photos", "fetched over plain http", {"licence: none needed": "fetch: {terms: x, files: [{url: 'http://example.org/a.zip'}]}\nlicence: none needed"},
         "14:33: fetch.files[0].url: should match pattern"),
    case("photos", "fetched from nowhere", {"licence: none needed": "fetch: {terms: x}\nlicence: none needed"}, "14:8: fetch: give either `files` or `hub`"),
    case("photos", "home page no address", {"https://example.org/": "example.org"}, "15:12: home_page: should match pattern"),
    case("drawings", "column for attributes", {"columns: {dot: has_dot, line: has_line}": "column: marks"},
         "7:13: tasks.marks.column: task 'marks' is multilabel: give `columns` instead"),
    case("drawings", "attributes that the task has not", {"{dot: has_dot, line: has_line}": "{dto: has_dot, lines: has_line}"},
         "7:15: tasks.marks.columns.dto: task 'marks' has no label 'dto'; did you mean 'dot'?",
         "7:29: tasks.marks.columns.lines: task 'marks' has no label 'lines'; did you mean 'line'?"),
    case("drawings", "attribute code of another meaning", {'"1": present': '"1": presnt'},
         "8:18: tasks.marks.codes.1: a code of a multilabel task means present or absent; did you mean 'present'?"),
    case("drawings", "columns and labels", {"    codes:": "    labels: [dot]\n    codes:"},
         "8:13: tasks.marks.labels: `columns` already says which labels are annotated"),
    case("drawings", "shares that do not sum to 1", {"test: 0.2": "test: 0.3"}, "11:11: splits.shares: train, validation and test must sum to 1"),
    case("drawings", "share above 1", {"train: 0.6": "train: 60"}, "11:19: splits.shares.train: should be less than or equal to 1 (found 60)"),
    case("drawings", "part outside its number", {"by: group": "train_part: {index: 2, of: 2}"},
         "12:23: splits.train_part.index: index counts from 0 and must be under `of`"),
]  # fmt: skip

STANDIN = [
    case("tiny_faces", "unknown generator", {"name: faces": "name: face"}, "8:9: standin.name: stand-in generator 'face' is unknown; did you mean 'faces'?"),
    case("tiny_faces", "unknown relatedness", {"emotion_action_units": "emotion_units"},
         "9:16: standin.relatedness: relatedness 'emotion_units' is unknown; did you mean 'emotion_action_units'?"),
    case("tiny_faces", "no relatedness", {"  relatedness: emotion_action_units\n": ""}, "8:3: standin.relatedness: faces are drawn from the probabilities of a relatedness; name one"),
    case("tiny_faces", "no images", {"train: 48": "train: 0"}, "10:19: standin.images.train: should be greater than 0 (found 0)"),
    case("tiny_faces", "class that the task has not", {"neutral: 0.2": "calm: 0.2"},
         "11:22: standin.prevalence.calm: task 'expression' has no label 'calm'"),
    case("tiny_faces", "shares that do not sum to 1", {"neutral: 0.2": "neutral: 0.3"}, "11:15: standin.prevalence: shares must sum to 1 (here 1.1)"),
    case("tiny_faces", "share above 1", {"neutral: 0.2": "neutral: 20"}, "11:25: standin.prevalence.neutral: should be less than or equal to 1"),
    case("tiny_faces", "unknown option", {"  prevalence:": "  peopel: 3\n  prevalence:"}, "11:3: standin.peopel: unknown key 'peopel'"),
    case("tiny_faces", "missing of a task not annotated", {"  prevalence:": "  missing: {action_units: 0.1}\n  subjects: 2\n  prevalence:"},
         "11:27: standin.missing.action_units: the data set does not annotate 'action_units'",
         "12:13: standin.subjects: every split needs a subject of its own"),
    case("tiny_faces", "estimated relatedness", {"relatedness: emotion_action_units": "relatedness: counted"},
         "9:16: standin.relatedness: a stand-in is drawn from known probabilities, and this relatedness is estimated"),
    case("tiny_faces", "reference and options at once", {"expression: {}": "expression: {labels: [neutrall]}", "neutral: 0.2": "neutral: 0.3"},
         "6:25: tasks.expression.labels[0]: task 'expression' has no label 'neutrall'; did you mean 'neutral'?",
         "11:15: standin.prevalence: shares must sum to 1"),
]  # fmt: skip

RELATEDNESS = [
    case("marks_of_colours", "unknown tasks", {"first_task: colour": "first_task: color", "second_task: marks": "second_task: mark"},
         "4:13: first_task: task 'color' is unknown; did you mean 'colour'?", "5:14: second_task: task 'mark' is unknown; did you mean 'marks'?"),
    case("marks_of_colours", "a task with itself", {"second_task: marks": "second_task: colour"}, "5:14: second_task: a task is not related to itself"),
    case("marks_of_colours", "classes of a multilabel task", {"first_task: colour": "first_task: marks", "second_task: marks": "second_task: shade"},
         "4:13: first_task: task 'marks' is multilabel, not multiclass"),
    case("marks_of_colours", "unknown origin", {"type: knowledge": "type: knowlege"}, "6:9: origin: 'knowlege' is not allowed; did you mean 'knowledge'?"),
    case("marks_of_colours", "no type of origin", {"type: knowledge, ": ""}, f"6:9: origin.type: {NEEDED}"),
    case("marks_of_colours", "no source", {", source: a book": ""}, f"6:9: origin.source: {NEEDED}"),
    case("marks_of_colours", "unknown key of an origin", {"source: a book": "source: a book, sorce: b"},
         "6:43: origin.sorce: unknown key 'sorce'; did you mean 'source'?"),
    case("marks_of_colours", "missing row", {"  blue: {}\n": ""}, "9:3: probabilities: no row for the class 'blue'"),
    case("marks_of_colours", "row of no class", {"blue: {}": "blu: {}"}, "9:3: probabilities: no row for the class 'blue'",
         "11:3: probabilities.blu: task 'colour' has no label 'blu'; did you mean 'blue'?"),
    case("marks_of_colours", "label that the second task has not", {"line: 0.8": "lines: 0.8"},
         "10:11: probabilities.green.lines: task 'marks' has no label 'lines'; did you mean 'line'?"),
    case("marks_of_colours", "probabilities outside [0, 1]", {"0.9": "1.9", "0.8": "-0.8"},
         "9:14: probabilities.red.dot: should be less than or equal to 1 (found 1.9)",
         "10:17: probabilities.green.line: should be greater than or equal to 0 (found -0.8)"),
    case("marks_of_colours", "probability no number", {"0.9": "often"}, "9:14: probabilities.red.dot: should be a valid number (found 'often')"),
    case("marks_of_colours", "probability not a number", {"0.9": ".nan"}, "9:14: probabilities.red.dot: should be a finite number"),
    case("marks_of_colours", "row that is no mapping", {"{dot: 0.9}": "0.9"}, "9:8: probabilities.red: should be an object"),
    case("marks_of_colours", "row twice", {"  blue: {}": "  red: {}"}, "11:3: probabilities.red: the key 'red' is given twice (first in line 9)"),
    case("marks_of_colours", "knowledge without probabilities", {"probabilities:\n  red: {dot: 0.9}\n  green: {line: 0.8}\n  blue: {}\n": ""},
         "6:9: origin: `probabilities` is needed where the origin is knowledge"),
    case("shades_of_colours", "rows that do not sum to 1", {"{light: 1}": "{light: 0.7}", "dark: 0.5": "dark: 0.6"},
         "8:8: probabilities.red: probabilities of a class task must sum to 1 in each row (here 1.1)",
         "9:10: probabilities.green: probabilities of a class task must sum to 1 in each row (here 0.7)"),
    case("shades_of_colours", "unlisted for classes", {"probabilities:": "unlisted: 0.1\nprobabilities:"}, "7:11: unlisted: rows over a class task are complete"),
    case("counted", "unknown data set", {"dataset: photos": "dataset: photo"}, "6:36: origin.dataset: dataset 'photo' is unknown; did you mean 'photos'?"),
    case("counted", "data set that annotates one task only", {"dataset: photos": "dataset: drawings"},
         "6:36: origin.dataset: data set 'drawings' does not annotate 'colour'", "6:36: origin.dataset: data set 'drawings' does not annotate 'shade'"),
    case("counted", "no smoothing", {"smoothing: 0.5": "smoothing: 0"}, "6:55: origin.smoothing: should be greater than 0 (found 0)"),
    case("counted", "estimated with probabilities", {"first_task:": "probabilities: {red: {}}\nfirst_task:"},
         "4:16: probabilities: an estimated relatedness has no `probabilities` of its own"),
]  # fmt: skip

BACKBONE = [
    case("net", "unknown model", {"test_resnet": "test_resnett"}, "5:7: timm: timm model 'test_resnett' is unknown; did you mean 'test_resnet'"),
    case("net", "model option that timm does not take", {"drop_rate: 0.1": "dropping: 0.1"},
         "6:10: options: backbone 'net': timm cannot make 'test_resnet' with options {'dropping': 0.1}"),
    case("net", "options no mapping", {"{drop_rate: 0.1}": "small"}, "6:10: options: should be an object"),
    case("net", "unknown weights tag", {"timm: test_resnet": "timm: resnet50\nweights: {timm: a1_in1}"},
         "6:17: weights.timm: pre-trained tag of resnet50 'a1_in1' is unknown; did you mean 'a1_in1k'"),
    case("net", "weights from two places", {"options: {drop_rate: 0.1}": f"weights: {{timm: a1_in1k, file: x.pth, sha256: {'a' * 64}}}"},
         "6:10: weights: give either `timm` or `file`"),
    case("net", "weights from nowhere", {"options: {drop_rate: 0.1}": "weights: {}"}, "6:10: weights: give either `timm` or `file`"),
    case("net", "weights without hash", {"options: {drop_rate: 0.1}": "weights: {file: x.pth}"}, "6:10: weights: `file` and `sha256` go together"),
    case("net", "hash of another form", {"options: {drop_rate: 0.1}": "weights: {file: x.pth, sha256: abc}"}, "6:32: weights.sha256: should match pattern"),
    case("net", "weights file not there", {"options: {drop_rate: 0.1}": f"weights: {{file: absent.pth, sha256: {'a' * 64}}}"},
         "6:17: weights.file: the weights file absent.pth of backbone 'net' is missing"),
    case("net", "no input", {"options: {drop_rate: 0.1}": "input_size: 0"}, "6:13: input_size: should be greater than 0 (found 0)"),
    case("net", "options and weights at once", {"{drop_rate: 0.1}": "{dropping: 1}\nweights: {timm: a}"},
         "6:10: options: backbone 'net': timm cannot make", "7:17: weights.timm: pre-trained tag of test_resnet 'a' is unknown"),
]  # fmt: skip

METHOD = [
    case("together", "unknown type", {"type: joint": "type: jont"}, "4:7: type: 'jont' is not allowed; did you mean 'joint'?"),
    case("alone", "no terms", {"  - name: supervised\n": "  []\n"}, "6:3: terms: should have at least 1 item"),
    case("alone", "term without a name", {"- name: supervised": "- weight: 1"}, f"6:5: terms[0].name: {NEEDED}"),
    case("alone", "term that is text", {"- name: supervised": "- supervised"}, "6:5: terms[0]: should be an object"),
    case("together", "unknown term", {"name: distribution_matching, form: kl": "name: distribution_match"},
         "8:12: terms[1].name: term 'distribution_match' is unknown; did you mean 'distribution_matching' or 'distillation'?"),
    case("together", "unknown term options", {"weight: 2.0": "weigth: 2.0", "form: kl": "fomr: kl"},
         "7:5: terms[0].weigth: unknown key 'weigth'; did you mean 'weight'?", "8:35: terms[1].fomr: unknown key 'fomr'; did you mean 'form'?"),
    case("together", "term options of other values", {"weight: 2.0": "weight: -2.0", "form: kl": "form: kll"},
         "7:13: terms[0].weight: should be greater than or equal to 0 (found -2.0)", "8:41: terms[1].form: 'kll' is not allowed; did you mean 'kl'?"),
    case("together", "term twice", {"{name: distribution_matching, form: kl}": "{name: supervised}"}, "8:12: terms[1].name: the term 'supervised' is given twice"),
    case("alone", "coupling term alone", {"- name: supervised": "- name: distribution_matching"},
         "6:11: terms[0].name: 'distribution_matching' couples tasks; a single method learns one at a time"),
    case("alone", "taught alone", {"- name: supervised": "- name: distillation"},
         "6:11: terms[0].name: 'distillation' couples tasks; a single method learns one at a time"),
    case("alone", "balanced alone", {"- name: supervised": "- name: supervised\nbalancer: {name: gls}"},
         "7:11: balancer: a single method learns one task at a time, so there is nothing to balance"),
    case("together", "unknown balancer", {"type: joint": "type: joint\nbalancer: {name: pcgard}"},
         "5:18: balancer.name: balancer 'pcgard' is unknown; did you mean 'pcgrad'"),
    case("together", "unknown option of a balancer", {"type: joint": "type: joint\nbalancer: {name: dwa, windw: 3}"},
         "5:23: balancer.windw: unknown key 'windw'; did you mean 'window'?"),
    case("together", "unknown label transform", {"type: joint": "type: joint\nlabels:\n  - {name: coannotation}"},
         "6:12: labels[0].name: label transform 'coannotation' is unknown; did you mean 'co_annotation'?"),
    case("together", "label transform twice", {"type: joint": "type: joint\nlabels: [{name: co_annotation}, {name: co_annotation}]"},
         "5:40: labels[1].name: the label transform 'co_annotation' is given twice"),
    case("together", "thresholds the wrong way round", {"type: joint": "type: joint\nlabels: [{name: co_annotation, observational: 0.9}]"},
         "5:47: labels[0].observational: an observational attribute is less certain than a prototypical one, so this is at most 0.7"),
    case("together", "nothing to balance", {"  - name: supervised\n    weight: 2.0\n": "", "type: joint": "type: joint\nbalancer: {name: gls}"},
         "7:3: terms: no term of the method is a task's own loss, so there is nothing to learn from; add `supervised`"),
]  # fmt: skip

BUDGET = [
    case("brief", "steps no number", {"steps: 6": "steps: six"}, "4:8: steps: should be a valid integer (found 'six')"),
    case("brief", "steps no whole number", {"steps: 6": "steps: 6.5"}, "4:8: steps: should be a valid integer"),
    case("brief", "steps true", {"steps: 6": "steps: true"}, "4:8: steps: should be a valid integer (found True)"),
    case("brief", "steps as text", {"steps: 6": "steps: '6'"}, "4:8: steps: should be a valid integer (found '6')"),
    case("brief", "steps and epochs", {"steps: 6": "epochs: 2\nsteps: 6"}, "5:8: steps: give either `steps` or `epochs`"),
    case("brief", "neither steps nor epochs", {"steps: 6\n": ""}, "1:1: give either `steps` or `epochs`"),
    case("brief", "no seeds", {"seeds: 2": "seeds: 0"}, "5:8: seeds: should be greater than 0 (found 0)"),
    case("brief", "tiny images", {"image_size: 16": "image_size: 8"}, "6:13: image_size: should be greater than or equal to 16 (found 8)"),
    case("brief", "unknown optimiser", {"adamw": "adamv"}, "8:19: optimizer.name: optimiser 'adamv' is unknown; did you mean 'adam"),
    case("brief", "no learning rate", {", learning_rate: 1e-3": ""}, f"8:12: optimizer.learning_rate: {NEEDED}"),
    case("brief", "unknown allocation", {"least: 4": "allocation: equal"}, "7:31: batch.allocation: 'equal' is not allowed; there is balanced, proportional"),
    case("brief", "unknown precision", {"float32": "float8"}, "9:12: precision: 'float8' is not allowed; did you mean 'float"),
    case("brief", "several at once", {"seeds: 2": "sedes: 2", "size: 16, least: 4": "size: 0, least: -4"},
         f"1:1: seeds: {NEEDED}", "5:1: sedes: unknown key 'sedes'; did you mean 'seeds' or 'schedule'?",
         "7:15: batch.size: should be greater than 0 (found 0)", "7:25: batch.least: should be greater than 0 (found -4)"),
]  # fmt: skip

SUITE = [
    case("pictures", "names that nothing has",
         {"[photos, drawings]": "[photo, drawings]", "[marks_of_colours]": "[marks_of_colour]", "[net]": "[nett]", "[alone, together]": "[alone, togethr]", "budget: brief": "budget: brif"},
         "4:12: datasets[0]: dataset 'photo' is unknown; did you mean 'photos'?",
         "6:15: relatedness[0]: relatedness 'marks_of_colour' is unknown; did you mean 'marks_of_colours'",
         "7:13: backbones[0]: backbone 'nett' is unknown; did you mean 'net'",
         "8:18: methods[1]: method 'togethr' is unknown; did you mean 'together'?",
         "9:9: budget: budget 'brif' is unknown; did you mean 'brief'?"),
    case("pictures", "unknown task", {"[colour, marks]": "[colour, marks, shapes]"}, "5:24: tasks[2]: task 'shapes' is unknown"),
    case("pictures", "task of no data set", {"[colour, marks]": "[colour, marks, expression]"}, "5:24: tasks[2]: no data set of the suite annotates 'expression'"),
    case("pictures", "data set without a task of the suite", {"tasks: [colour, marks]": "tasks: [colour, shade]", "[marks_of_colours]": "[shades_of_colours]", "mean_f1: 0.02": "accuracy: 0.02"},
         "4:20: datasets[1]: annotates none of the suite's tasks (colour, shade)"),
    case("pictures", "relatedness of another task", {"[marks_of_colours]": "[marks_of_colours, shades_of_colours]"},
         "6:33: relatedness[1]: relates 'shade', which is not among the suite's tasks"),
    case("pictures", "no single-task method", {"[alone, together]": "[together]"},
         "8:10: methods: a suite needs exactly one single-task method to compare with (has none)"),
    case("pictures", "two single-task methods", {"[alone, together]": "[alone, together, single_task]"},
         "8:10: methods: a suite needs exactly one single-task method to compare with (has alone, single_task)"),
    case("pictures", "one task to balance", {"datasets: [photos, drawings]": "datasets: [photos]", "tasks: [colour, marks]": "tasks: [colour]", "relatedness: [marks_of_colours]\n": "",
         "methods: [alone, together]": "methods: [alone, gls]", ", mean_f1: 0.02": ""},
         "7:18: methods[1]: 'gls' balances tasks against each other, and the suite has but one (colour)"),
    case("pictures", "weights of another task", {"methods: [alone, together]": "methods: [alone, static_weights]"},
         "8:18: methods[1]: 'static_weights': `weights` names the task 'action_units', which is not learnt here; there is colour, marks",
         "8:18: methods[1]: 'static_weights': `weights` names the task 'expression', which is not learnt here; there is colour, marks"),
    case("pictures", "coupling without relatedness", {"relatedness: [marks_of_colours]": "relatedness: []"},
         "8:18: methods[1]: 'together' couples tasks by relatedness (distribution_matching), and the suite names none"),
    case("pictures", "missing margin", {"macro_f1: 0.02, ": ""}, "10:10: margins: a margin for 'macro_f1', the primary metric of 'colour', is needed"),
    case("pictures", "margin for another metric", {"mean_f1: 0.02}": "mean_f1: 0.02, macro_f2: 0.1}"},
         "10:42: margins.macro_f2: no task of the suite is scored by 'macro_f2'; did you mean 'macro_f1'?"),
    case("pictures", "margin of zero", {"mean_f1: 0.02": "mean_f1: 0"}, "10:36: margins.mean_f1: should be greater than 0 (found 0)"),
    case("pictures", "nothing but a title", {"datasets: [photos, drawings]\n": "", "methods: [alone, together]\n": "", "budget: brief\n": ""},
         "1:1: a suite needs `datasets`, `methods`, `budget` (or `includes`)"),
    case("pictures", "includes beside a matrix", {"datasets:": "includes: [tiny]\ndatasets:"}, "4:11: includes: a suite that includes others has no datasets, backbones"),
    case("pictures", "data set twice", {"[photos, drawings]": "[photos, drawings, photos]"}, "4:11: datasets: 'photos' is given twice"),
    case("pictures", "problems of the matrix and of its fit at once", {"relatedness: [marks_of_colours]": "relatedness: []", "macro_f1: 0.02, ": ""},
         "8:18: methods[1]: 'together' couples tasks", "10:10: margins: a margin for 'macro_f1'"),
]  # fmt: skip

CASES = [*ANY_KIND, *TASK, *DATASET, *STANDIN, *RELATEDNESS, *BACKBONE, *METHOD, *BUDGET, *SUITE]


def problem_lines(done):
    return [line for line in done.err.splitlines() if line]


def check(done, expected):
    """All of the expected problems, each by how its line starts, and no others."""
    found = problem_lines(done)
    assert len(found) == len(expected), "\n".join(found)
    for start in expected:
        assert sum(line.startswith(start) for line in found) == 1, f"{start}\nis not among\n" + "\n".join(found)
    assert done.code == 2


@pytest.mark.parametrize("kind", ["dataset", "task", "relatedness", "backbone", "method", "budget", "suite"])
def test_every_kind_is_broken_below(kind):
    assert any(f"kind: {kind}\n" in GOOD[case.name] for case in CASES if case.name in GOOD)


def test_unbroken_specs_have_no_problems(folder, bench):
    done = bench("validate", str(folder.specs), "--no-conformance")
    assert (done.code, done.err) == (0, "")
    assert f"{len(list(folder.specs.iterdir()))} specs checked, 0 problems" in done.out


@pytest.mark.parametrize("broken", CASES, ids=str)
def test_problems_of_a_broken_spec(folder, bench, broken):
    for old, new in broken.changes.items():
        file = folder.change(broken.name, old, new)
    check(bench("validate", str(file)), [f"{file}:{problem}" for problem in broken.problems])


def test_a_weights_file_must_be_the_one_that_the_spec_means(folder, bench):
    weights = folder.root / "weights.pth"
    weights.write_bytes(b"not what was meant")
    entry = f"weights: {{file: {weights}, sha256: {'a' * 64}}}"
    file = folder.change("net", "options: {drop_rate: 0.1}", entry)
    found = sha256(b"not what was meant").hexdigest()
    start = f"{file}:6:17: weights.file: the weights file {weights} has sha256 {found}, the spec says {'a' * 64}"
    check(bench("validate", "net"), [start])

    folder.change("net", "a" * 64, found)
    assert bench("validate", "net").code == 0


@pytest.mark.parametrize("options", ["", "input_size: 20"])
def test_a_backbone_must_take_the_images_of_the_budget(folder, bench, options):
    folder.change("net", "test_resnet\noptions: {drop_rate: 0.1}", f"vit_tiny_patch16_224\n{options}")
    start = f"{folder.specs / 'pictures.yaml'}:7:13: backbones[0]: backbone 'net' (vit_tiny_patch16_224) does not take"
    done = bench("validate", "pictures")
    check(done, [start])
    assert "input_size" in done.err
    assert "img_size" in done.err


@pytest.mark.parametrize("remedy", ["options: {img_size: 16}", "input_size: 224"])
def test_what_the_message_advises_mends_it(folder, bench, remedy):
    folder.change("net", "test_resnet\noptions: {drop_rate: 0.1}", f"vit_tiny_patch16_224\n{remedy}")
    assert bench("validate", "pictures").code == 0


def test_another_budget_is_checked_in_place_of_the_suite_s_own(folder, bench):
    folder.change("net", "test_resnet\noptions: {drop_rate: 0.1}", "vit_tiny_patch16_224\noptions: {img_size: 16}")
    assert bench("plan", "tiny", "--budget", "brief").code == 0
    folder.write("wide", GOOD["brief"].replace("name: brief", "name: wide").replace("image_size: 16", "image_size: 32"))
    done = bench("plan", "pictures", "--budget", "wide")
    assert done.code == 2
    assert (
        f"{folder.specs / 'pictures.yaml'}:7:13: backbones[0]: backbone 'net' (vit_tiny_patch16_224) does not"
        in done.err
    )
    done = bench("plan", "pictures", "--budget", "wid")
    assert done.code == 2
    assert "budget 'wid' is unknown; did you mean 'wide'?" in done.err
    folder.change("wide", "size: 16, least: 4", "size: 7, least: 4")
    done = bench("plan", "tiny", "--budget", "wide")
    assert done.code == 2
    assert f"{folder.specs / 'tiny.yaml'}:8:9: budget: budget 'wide' has batches of 7 images, too few" in done.err


def test_a_budget_must_have_room_for_all_data_sets(folder, bench):
    folder.change("brief", "size: 16, least: 4", "size: 7, least: 4")
    assert bench("validate", "brief").code == 0
    start = (
        f"{folder.specs / 'pictures.yaml'}:9:9: budget: budget 'brief' has batches of 7 images, too few for at least 4"
    )
    check(bench("validate", "pictures"), [start])


def test_a_suite_tells_the_problems_of_everything_that_it_names(folder, bench):
    colour = folder.change("colour", "accuracy]", "acuracy]")
    photos = folder.change("photos", "split: part", "splt: part")
    related = folder.change("marks_of_colours", "  blue: {}\n", "")
    net = folder.change("net", "test_resnet", "test_resnett")
    together = folder.change("together", "form: kl", "form: kll")
    short = folder.change("brief", "adamw", "adamv")
    expected = [
        f"{colour}:6:21: metrics[1]: metric 'acuracy' is unknown",
        f"{photos}:11:21: layout.splt: unknown key 'splt'",
        f"{related}:9:3: probabilities: no row for the class 'blue'",
        f"{net}:5:7: timm: timm model 'test_resnett' is unknown",
        f"{together}:8:41: terms[1].form: 'kll' is not allowed",
        f"{short}:8:19: optimizer.name: optimiser 'adamv' is unknown",
    ]
    done = bench("validate", "pictures")
    check(done, expected)
    assert problem_lines(done) == sorted(problem_lines(done))


def test_what_cannot_be_read_causes_no_problems_elsewhere(folder, bench):
    """A suite is not told that it lacks a task only because the data set that annotates it is broken."""
    photos = folder.change("photos", "domain: things", "domain: 3")
    check(bench("validate", "pictures"), [f"{photos}:4:9: domain: "])
    folder.change("photos", "domain: 3", "domain: things")
    colour = folder.change("colour", "chance: 0.33", "chance: 33")
    check(bench("validate", "pictures"), [f"{colour}:8:9: chance: "])


def test_one_spec_tells_the_problems_of_what_it_names(folder, bench):
    colour = folder.change("colour", "accuracy]", "acuracy]")
    check(bench("validate", "photos"), [f"{colour}:6:21: metrics[1]: metric 'acuracy' is unknown"])


def included(folder, name, *others):
    text = f"kind: suite\nname: {name}\ntitle: Suites\nincludes: [{', '.join(others)}]\n"
    return folder.write(name, textwrap.dedent(text))


def test_a_suite_may_include_others_and_through_them_the_same_one_twice(folder, bench):
    included(folder, "left", "pictures")
    included(folder, "right", "pictures", "tiny")
    included(folder, "whole", "left", "right")
    assert bench("validate", "whole").code == 0


def test_a_suite_that_includes_itself(folder, bench):
    file = included(folder, "ring", "ring")
    check(bench("validate", "ring"), [f"{file}:4:12: includes[0]: the suite includes itself: ring -> ring"])


def test_two_suites_that_include_each_other(folder, bench):
    first, second = included(folder, "first", "second"), included(folder, "second", "tiny", "first")
    ways = ["includes itself: first -> second -> first", "includes itself: second -> first -> second"]
    check(bench("validate", "first"), [f"{first}:4:12: includes[0]: the suite {ways[0]}"])
    check(bench("validate", "second"), [f"{second}:4:18: includes[1]: the suite {ways[1]}"])


def test_three_suites_in_a_ring_and_one_outside_it(folder, bench):
    files = [included(folder, name, other) for name, other in (("one", "two"), ("two", "three"), ("three", "one"))]
    included(folder, "outside", "one")
    check(
        bench("validate", "one"),
        [f"{files[0]}:4:12: includes[0]: the suite includes itself: one -> two -> three -> one"],
    )
    check(bench("validate", "outside"), [f"{files[0]}:4:12: includes[0]: the suite includes itself: one -> two"])


def test_an_included_suite_that_is_not_there(folder, bench):
    file = included(folder, "whole", "pictures", "picture")
    check(
        bench("validate", "whole"), [f"{file}:4:22: includes[1]: suite 'picture' is unknown; did you mean 'pictures'?"]
    )

"""What a version can say: its steps, their labels, and what the results make of each, from ``model.toml``.

The first label of each step is the absence of what the step looks for: of step 1 the film's, such as normal;
of step 2, which is asked where one label leads step 1, it takes that label back.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

STEPS = ("step1", "step2")
# What the panel below a film has room for.
MOST_LABELS, LONGEST_LABEL = 3, 16
OWN_SCHEME = "99FIRSTREAD"
# Longest code value (SH), scheme (SH) and meaning (LO) of DICOM PS3.3 8.
_LONGEST = {"value": 16, "scheme": 16, "meaning": 64}


class RecipeInvalid(ValueError):
    """A ``model.toml`` that does not say what a version can say."""


@dataclass(frozen=True)
class Code:
    """A coded concept (DICOM PS3.3 8): its value, the scheme's designator, its meaning."""

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class Label:
    """One label and what the results say for it.

    Parameters
    ----------
    name : str
        Its word in English and in the figures.
    code : Code or None
        None of what is not reported: the label that takes step 1 back.
    narrowed_by : Code or None
        What the code leaves open, where no code says the label itself.
    words : mapping of str to str
        By language (RFC 5646); `name` where a language is not there.
    severity : float
        How urgent a film is that has it, 0 to 1, where the site's config does not know the label.
    films : tuple of str
        What films that it is true of are labelled in the training set.
    """

    name: str
    code: Code | None = None
    narrowed_by: Code | None = None
    words: Mapping[str, str] = field(default_factory=dict, hash=False)
    severity: float = 1.0
    films: tuple[str, ...] = ()

    def word(self, language: str) -> str:
        """In a language; in English where that has none."""
        return self.words.get(language, self.name)


@dataclass(frozen=True)
class Cascade:
    """The steps of a version.

    Parameters
    ----------
    steps : tuple of tuple of Label
        One or two, the absence first in each; none of a version that nobody asks.
    after : str
        The label of step 1 that step 2 refines; empty with one step.
    harmless : tuple of str
        Of each step the answer that misses most.
    classes : tuple of (str, str)
        Of each class of films, as the figures name it, the label that says it.
    """

    steps: tuple[tuple[Label, ...], ...] = ()
    after: str = ""
    harmless: tuple[str, ...] = ()
    classes: tuple[tuple[str, str], ...] = ()

    def labels(self, number: int) -> tuple[str, ...]:
        """What step `number`, 1 or 2, can say, in the order of its scores; nothing where there is none."""
        return tuple(label.name for label in self.steps[number - 1]) if number <= len(self.steps) else ()

    def label(self, name: str) -> Label:
        """A label by its name; one that is not there is said by its name alone."""
        return next((label for step in self.steps for label in step if label.name == name), Label(name))

    @property
    def absence(self) -> str:
        """The label of a film on which nothing is found."""
        return self.labels(1)[0]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """What a film can be once no step is left to ask: every label but those between the steps."""
        return (*(name for name in self.labels(1) if name != self.after), *self.labels(2)[1:])

    @property
    def findings(self) -> tuple[str, ...]:
        """Every label that something is found by."""
        return (*self.labels(1)[1:], *self.labels(2)[1:])

    def class_of(self, film_label: str) -> str | None:
        """Class of a film by its label in a set; None where that is none, or may be more than one."""
        found = [label.name for label in self.steps[0] if film_label in label.films]
        if found == [self.after]:
            found = [label.name for label in self.steps[1][1:] if film_label in label.films]
        return next((name for name, label in self.classes if [label] == found), None)

    def answers(self, name: str) -> tuple[str, ...]:
        """What each step should say of a film whose label, of `outcomes`, is `name`."""
        if len(self.steps) == 1:
            return (name,)
        return (self.after, name) if name in self.labels(2) else (name, self.labels(2)[0])


def of_recipe(recipe: Mapping) -> Cascade:
    """Read the tables ``[step1]``, ``[step2]``, ``[classes]`` and ``[results]``.

    Parameters
    ----------
    recipe : mapping
        ``model.toml``.

    Raises
    ------
    RecipeInvalid
    """
    names = [tuple(_table(_table(recipe, step), "labels", f"{step}.")) for step in steps_of(recipe)]
    every = [name for of_step in names for name in of_step]
    for step, of_step in zip(STEPS, names, strict=False):
        if not 2 <= len(of_step) <= MOST_LABELS:
            raise RecipeInvalid(
                f"[{step}.labels]: found {len(of_step)} labels, expected 2 to {MOST_LABELS}, "
                "the absence of a finding first"
            )
    for name in every:
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= LONGEST_LABEL):
            raise RecipeInvalid(
                f"label {name!r}: expected 1 to {LONGEST_LABEL} printable characters of ASCII, which the "
                "results have room for; rename it"
            )
        if name.startswith("indeterminate"):
            raise RecipeInvalid(f"label {name!r}: that word is for readings without a label; rename it")
        if every.count(name) > 1:
            raise RecipeInvalid(f"label {name!r}: found in two steps, expected in one; rename one of them")
    after, harmless = "", (names[0][0],)
    if len(names) == 2:
        after = _one_of(recipe["step2"], "after", names[0][1:], "step2.", "which label of step 1 it refines")
        found = _one_of(recipe["step2"], "harmless", names[1][1:], "step2.", "its answer that misses most")
        harmless = (*harmless, found)
    results = _table(recipe, "results")
    _same_keys("results", results, every, "the labels of the steps")
    unreported = {of_step[0] for of_step in names[1:]}
    steps = tuple(
        tuple(
            _label(name, results[name], name in unreported, films)
            for name, films in _films(recipe[step], step)
        )
        for step in steps_of(recipe)
    )
    _distinct(steps)
    cascade = Cascade(steps, after, harmless)
    return Cascade(steps, after, harmless, _classes(recipe, cascade))


def steps_of(recipe: Mapping) -> tuple[str, ...]:
    """Names of the steps that a recipe has."""
    return STEPS if "step2" in recipe else STEPS[:1]


def _classes(recipe: Mapping, cascade: Cascade) -> tuple[tuple[str, str], ...]:
    """The table ``[classes]``: every outcome once."""
    classes = _table(recipe, "classes")
    if sorted(map(str, classes.values())) != sorted(cascade.outcomes):
        raise RecipeInvalid(
            f"[classes]: found classes said by {_listed(classes.values())}, expected one for each of "
            f'{_listed(cascade.outcomes)}; write class = "label" for each'
        )
    return tuple(classes.items())


def _films(of: Mapping, step: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Of each label of a step what its films are labelled in the training set."""
    for name, films in of["labels"].items():
        if not (isinstance(films, list) and films and all(isinstance(film, str) for film in films)):
            raise RecipeInvalid(
                f"[{step}.labels] {name!r}: found {films!r}, expected a list of labels of the training set"
            )
        yield name, tuple(films)


def _label(name: str, said: object, is_unreported: bool, films: tuple[str, ...]) -> Label:
    """A table ``[results.LABEL]``."""
    where = f"[results.{name!r}]"
    if not isinstance(said, Mapping):
        raise RecipeInvalid(f"{where}: found {said!r}, expected a table with code and words")
    if strange := said.keys() - {"code", "narrowed_by", "words", "severity"}:
        raise RecipeInvalid(
            f"{where}: found {_listed(strange)}, expected code, narrowed_by, words and severity alone"
        )
    if ("code" in said) == is_unreported:
        told = "no code: it takes step 1 back and is not reported" if is_unreported else "a code"
        raise RecipeInvalid(f"{where}: expected {told}; {'remove' if is_unreported else 'add'} it")
    words, severity = said.get("words", {}), said.get("severity", 1.0)
    if not (isinstance(words, Mapping) and all(isinstance(word, str) and word for word in words.values())):
        raise RecipeInvalid(f'{where} words: found {words!r}, expected a word by language, de = "..."')
    if not (isinstance(severity, int | float) and 0 <= severity <= 1):
        raise RecipeInvalid(f"{where} severity: found {severity!r}, expected a number from 0 to 1")
    codes = (_code(said[key], f"{where} {key}") if key in said else None for key in ("code", "narrowed_by"))
    return Label(name, *codes, dict(words), float(severity), films)


def _code(found: object, where: str) -> Code:
    """A code as a list of three texts."""
    if not (isinstance(found, list) and len(found) == 3 and all(isinstance(part, str) for part in found)):
        raise RecipeInvalid(f'{where}: found {found!r}, expected ["value", "scheme", "meaning"]')
    for (part, most), text in zip(_LONGEST.items(), found, strict=True):
        if not (text.isascii() and text.isprintable() and 0 < len(text.strip()) <= most) or "\\" in text:
            raise RecipeInvalid(
                f"{where}: found the {part} {text!r}, expected 1 to {most} printable characters of ASCII "
                "(DICOM PS3.3 8)"
            )
    if found[1].startswith("99") and found[1] != OWN_SCHEME:
        raise RecipeInvalid(
            f"{where}: found the private scheme {found[1]}, expected one of DICOM PS3.16 8, such as SCT, or "
            f"{OWN_SCHEME}, the one that the results identify"
        )
    return Code(*found)


def _distinct(steps: tuple[tuple[Label, ...], ...]) -> None:
    """No two labels with the same codes: a receiver could not tell them apart."""
    seen: dict[tuple[Code | None, Code | None], str] = {}
    for label in (label for step in steps for label in step if label.code):
        same = seen.setdefault((label.code, label.narrowed_by), label.name)
        if same != label.name:
            raise RecipeInvalid(
                f"[results.{label.name!r}]: found the codes of {same!r}, expected others; add narrowed_by"
            )


def _table(of: Mapping, key: str, within: str = "") -> Mapping:
    found = of.get(key)
    if not isinstance(found, Mapping) or not found:
        raise RecipeInvalid(f"[{within}{key}]: found no such table, expected one; see a shipped model.toml")
    return found


def _one_of(of: Mapping, key: str, allowed: tuple[str, ...], within: str, why: str) -> str:
    if of.get(key) not in allowed:
        raise RecipeInvalid(
            f"{within}{key}: found {of.get(key)!r}, expected one of {_listed(allowed)}: {why}"
        )
    return of[key]


def _same_keys(name: str, found: Mapping, expected: list[str], what: str) -> None:
    if missing := [key for key in expected if key not in found]:
        raise RecipeInvalid(f"[{name}]: found nothing for {_listed(missing)}, expected {what}; add them")
    if strange := [key for key in found if key not in expected]:
        raise RecipeInvalid(f"[{name}]: found {_listed(strange)}, expected {what}: {_listed(expected)}")


def _listed(names: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, names)))

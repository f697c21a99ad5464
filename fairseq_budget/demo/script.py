"""The lines of the demo corpus's speakers, and their splits: a small grammar and its turns."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MAX_SENTENCES = 10_000  # the grammar has millions, so drawing that many different ones is quick

_DETERMINERS = ("the", "my", "our", "this", "that")
_TRAITS = ("young", "old", "quiet", "happy", "tired", "clever", "little", "tall")
_PEOPLE = ("man", "woman", "child", "teacher", "doctor", "farmer", "sister", "brother", "friend")
_VERBS = ("saw", "found", "carried", "painted", "sold", "dropped", "bought", "liked", "fixed")
_LOOKS = ("red", "green", "white", "heavy", "broken", "cheap")
_THINGS = ("book", "chair", "bottle", "table", "picture", "letter", "window", "basket", "coat")
_PREPOSITIONS = ("near", "behind", "beside", "inside")
_PLACES = ("river", "bridge", "station", "forest", "market", "school", "church", "house")
_TIMES = ("yesterday", "today", "again", "last night", "before dinner", "every morning")

_ACTIONS = ("start", "stop", "check", "clean", "move", "repair")
_OBJECTS = ("radio", "heater", "camera", "fan")
_LOCATIONS = ("kitchen", "bedroom", "garden", "office")
_WORDINGS = (
    "{0.action} the {0.object} in the {0.location}",
    "please {0.action} the {0.location} {0.object}",
    "in the {0.location} {0.action} the {0.object}",
    "now {0.action} the {0.object} of the {0.location}",
)
MAX_COMMANDS = len(_ACTIONS) * len(_OBJECTS) * len(_LOCATIONS)


@dataclass(frozen=True)
class Command:
    """Three slots, one word each, as in Fluent Speech Commands."""

    action: str
    object: str
    location: str

    def wordings(self) -> list[str]:
        """The ways to say it, each of which names all three slots."""
        return [wording.format(self) for wording in _WORDINGS]


@dataclass(frozen=True)
class Line:
    """One speaker's turn to say something; ``command`` is None for a sentence."""

    speaker: int
    split: str
    transcript: str
    command: Command | None = None


def write_script(
    *, num_speakers: int, num_sentences: int, num_commands: int, seed: int
) -> list[Line]:
    """Sentences shared out among the speakers, then every command from every speaker.

    Speakers and commands take turns in the splits, three quarters of them in train, so that each
    is in all splits of all but the smallest scripts. No transcript of a split is in another.
    """
    rng = np.random.default_rng([seed, 0])
    lines = []
    for index, sentence in enumerate(_draw_sentences(num_sentences, rng)):
        turn, speaker = divmod(index, num_speakers)
        lines.append(Line(speaker, _split(turn + speaker), sentence))
    for index, command in enumerate(_draw_commands(num_commands, rng)):
        *for_train, for_valid, for_test = rng.permutation(command.wordings()).tolist()
        for speaker in range(num_speakers):
            split = _split(index + speaker)
            worded = {"train": for_train[speaker % 2], "valid": for_valid, "test": for_test}
            lines.append(Line(speaker, split, worded[split], command))
    return lines


def _split(turn: int) -> str:
    return {1: "valid", 2: "test"}.get(turn % 8, "train")


def _draw_sentences(num_sentences: int, rng: np.random.Generator) -> list[str]:
    """Different sentences of 5 to 12 words, in random order."""
    sentences: dict[str, None] = {}
    while len(sentences) < num_sentences:
        sentences[_draw_sentence(rng)] = None
    return list(sentences)


def _draw_commands(num_commands: int, rng: np.random.Generator) -> list[Command]:
    """Different commands in random order."""
    commands = [Command(*slots) for slots in itertools.product(_ACTIONS, _OBJECTS, _LOCATIONS)]
    return [commands[index] for index in rng.permutation(MAX_COMMANDS)[:num_commands]]


def _draw_sentence(rng: np.random.Generator) -> str:
    def word(words: Sequence[str]) -> str:
        return words[int(rng.integers(len(words)))]

    has_trait, has_look, has_place, has_time = rng.random(4) < 0.5
    words = [word(_DETERMINERS), *([word(_TRAITS)] if has_trait else []), word(_PEOPLE)]
    words += [word(_VERBS), word(_DETERMINERS), *([word(_LOOKS)] if has_look else [])]
    words += [word(_THINGS)]
    words += [word(_PREPOSITIONS), "the", word(_PLACES)] if has_place else []
    words += [word(_TIMES)] if has_time else []
    return " ".join(words)

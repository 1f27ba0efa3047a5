"""Tokens that must occur in what beam search writes.

Source: Post and Vilar 2018, "Fast Lexically Constrained Decoding with Dynamic Beam Allocation"; Hu et al. 2019,
"Improved Lexically Constrained Decoding", for words of which one is enough.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

from bothways.errors import InputError
from bothways.generation.arguments import id_list_problem, is_id

_MOST_STEPS = 10_000


class Constraint(ABC):
    """Something that must be written, and how far a row has come with it.

    Giving ``update`` what ``advance`` returns must fulfil a constraint after finitely many steps.

    Attributes:
        seqlen: the steps from the beginning to the end, at most.
    """

    seqlen: int

    def __init__(self) -> None:
        self.test()

    def test(self) -> None:
        """Go through the constraint once.

        Raises:
            InputError: it does not end, or contradicts itself.
        """
        for step in range(_MOST_STEPS):
            if step == 1:
                self.reset()
            advance = self.advance()
            token = advance[0] if isinstance(advance, list) else advance
            if token is None or not self.does_advance(token):
                raise InputError(f"{type(self).__name__}: does_advance(advance()) must be true.")
            if self.update(token)[1]:
                break
        else:
            raise InputError(f"{type(self).__name__} is not fulfilled after {_MOST_STEPS:,} tokens that advance it.")
        if self.remaining() != 0:
            raise InputError(f"{type(self).__name__} is fulfilled, but remaining() is {self.remaining()}.")

    @abstractmethod
    def advance(self) -> int | list[int] | None:
        """The token, or the tokens of which each, brings the constraint one step on; None when it is fulfilled."""

    @abstractmethod
    def does_advance(self, token_id: int) -> bool:
        """Whether this token brings the constraint one step on."""

    @abstractmethod
    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        """Take a token that was written.

        Returns:
            Whether it was a step on, whether the constraint is now fulfilled, whether it begins again.
        """

    @abstractmethod
    def reset(self) -> None:
        """Begin again."""

    @abstractmethod
    def remaining(self) -> int:
        """Steps until it is fulfilled."""

    @abstractmethod
    def copy(self, stateful: bool = False) -> Constraint:
        """A constraint like this, at its beginning or, if ``stateful``, where this one is."""


class PhrasalConstraint(Constraint):
    """Tokens that must be written one after another."""

    def __init__(self, token_ids: list[int]) -> None:
        problem = id_list_problem("token_ids", token_ids)
        if problem:
            raise InputError(problem)
        self.token_ids = [int(i) for i in token_ids]
        self.seqlen = len(self.token_ids)
        self.fulfilled_idx = -1
        self.completed = False

    def advance(self) -> int | None:
        return None if self.completed else self.token_ids[self.fulfilled_idx + 1]

    def does_advance(self, token_id: int) -> bool:
        return not self.completed and _checked(token_id) == self.token_ids[self.fulfilled_idx + 1]

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        if not self.does_advance(token_id):
            self.reset()
            return False, False, True
        self.fulfilled_idx += 1
        self.completed = self.fulfilled_idx == self.seqlen - 1
        return True, self.completed, False

    def reset(self) -> None:
        self.completed = False
        self.fulfilled_idx = -1

    def remaining(self) -> int:
        return self.seqlen - (self.fulfilled_idx + 1)

    def copy(self, stateful: bool = False) -> PhrasalConstraint:
        new = PhrasalConstraint(self.token_ids)
        if stateful:
            new.fulfilled_idx, new.completed = self.fulfilled_idx, self.completed
        return new


class DisjunctiveConstraint(Constraint):
    """Words of which one must be written. None may be the beginning of another."""

    def __init__(self, nested_token_ids: list[list[int]]) -> None:
        if not isinstance(nested_token_ids, (list, tuple)) or not nested_token_ids:
            raise InputError(
                f"nested_token_ids is {nested_token_ids!r:.80}, expected a non-empty list of lists of ids."
            )
        for word in nested_token_ids:
            problem = id_list_problem("a word of nested_token_ids", word)
            if problem:
                raise InputError(problem)
        self.token_ids = [[int(i) for i in word] for word in nested_token_ids]
        self._trie = _trie(self.token_ids)
        self.seqlen = max(len(word) for word in self.token_ids)
        self.current_seq: list[int] = []
        self.completed = False

    def advance(self) -> list[int] | None:
        return self._next() or None

    def does_advance(self, token_id: int) -> bool:
        return _checked(token_id) in self._next()

    def update(self, token_id: int) -> tuple[bool, bool, bool]:
        stepped = self.does_advance(token_id)
        if stepped:
            self.current_seq = [*self.current_seq, token_id]
        else:
            self.reset()
        self.completed = not self._next()
        return stepped, self.completed, not stepped

    def reset(self) -> None:
        self.completed = False
        self.current_seq = []

    def remaining(self) -> int:
        return 0 if self.completed else self.seqlen - len(self.current_seq)

    def copy(self, stateful: bool = False) -> DisjunctiveConstraint:
        new = DisjunctiveConstraint(self.token_ids)
        if stateful:
            new.current_seq, new.completed = self.current_seq, self.completed
        return new

    def _next(self) -> list[int]:
        """The tokens that may follow what is written of a word; none after a whole word."""
        node = self._trie
        for token in self.current_seq:
            node = node[token]
        return list(node)


class ConstraintListState:
    """How far one row has come with several constraints. It works at one at a time, in any order.

    Attributes:
        completed: whether all are fulfilled.
    """

    def __init__(self, constraints: Sequence[Constraint]) -> None:
        self.constraints = list(constraints)
        self.max_seqlen = max(constraint.seqlen for constraint in self.constraints)
        self.n_constraints = len(self.constraints)
        self.init_state()

    def init_state(self) -> None:
        """Begin again with all constraints."""
        self.completed = False
        self.complete_constraints: list[Constraint] = []
        self.inprogress_constraint: Constraint | None = None
        self.pending_constraints = [constraint.copy(stateful=False) for constraint in self.constraints]

    def get_bank(self) -> int:
        """How much is fulfilled: rows with equal banks are compared with each other only."""
        begun = self.inprogress_constraint
        steps = 0 if begun is None else self.max_seqlen - begun.remaining()
        return len(self.complete_constraints) * self.max_seqlen + steps

    def advance(self) -> list[int] | None:
        """The tokens that bring the constraint in work one step on, or begin any that waits; None if there is none."""
        begun = self.inprogress_constraint
        found: list[int] = []
        for constraint in self.pending_constraints if begun is None else [begun]:
            advance = constraint.advance()
            found += [] if advance is None else [advance] if isinstance(advance, int) else advance
        return found or None

    def reset(self, token_ids: Iterable[int] | None) -> None:
        """Begin again, and take these tokens until all constraints are fulfilled."""
        self.init_state()
        for token in token_ids or ():
            self.add(token)
            if self.completed:
                break

    def add(self, token_id: int) -> tuple[bool, bool]:
        """Take a token that was written.

        Returns:
            Whether it fulfilled a constraint, whether it was a step on.
        """
        _checked(token_id)
        if self.completed:
            return True, False
        if self.inprogress_constraint is not None:
            return self._go_on(self.inprogress_constraint, token_id)
        for constraint in self.pending_constraints:
            if constraint.does_advance(token_id):
                return self._start(constraint, token_id)
        return False, False

    def copy(self, stateful: bool = True) -> ConstraintListState:
        """A state for the same constraints, where this one is or, if not ``stateful``, at their beginning."""
        new = ConstraintListState(self.constraints)
        if stateful:
            new.completed = self.completed
            new.complete_constraints = [constraint.copy(stateful=True) for constraint in self.complete_constraints]
            if self.inprogress_constraint is not None:
                new.inprogress_constraint = self.inprogress_constraint.copy(stateful=True)
            new.pending_constraints = [constraint.copy() for constraint in self.pending_constraints]
        return new

    def _go_on(self, constraint: Constraint, token_id: int) -> tuple[bool, bool]:
        stepped, complete, begins_again = constraint.update(token_id)
        if begins_again:
            self.pending_constraints.append(constraint.copy(stateful=False))
            self.inprogress_constraint = None
        if complete:
            self._fulfil(constraint)
        return complete, stepped

    def _start(self, constraint: Constraint, token_id: int) -> tuple[bool, bool]:
        stepped, complete, _ = constraint.update(token_id)
        if not stepped:
            raise InputError(f"{type(constraint).__name__}: update() is no step on where does_advance() is true.")
        self.pending_constraints = [other for other in self.pending_constraints if other is not constraint]
        self.inprogress_constraint = constraint
        if complete:
            self._fulfil(constraint)
        return complete, stepped

    def _fulfil(self, constraint: Constraint) -> None:
        self.complete_constraints.append(constraint)
        self.inprogress_constraint = None
        self.completed = not self.pending_constraints


def constraints_of(config: Any) -> list[Constraint]:
    """The constraints that settings ask for: ``constraints`` themselves, and ``force_words_ids``.

    Args:
        config: a ``GenerationConfig``. ``force_words_ids`` is a list of words, each a list of token ids, or a list of
            such words of which one is enough.

    Raises:
        InputError: something else.
    """
    given = list(config.constraints or ())
    wrong = [constraint for constraint in given if not isinstance(constraint, Constraint)]
    if wrong:
        raise InputError(f"constraints holds a {type(wrong[0]).__name__}, expected objects of type Constraint.")
    words = config.force_words_ids
    if words is not None and (not isinstance(words, (list, tuple)) or not words):
        raise InputError(f"force_words_ids is {words!r:.80}, expected a non-empty list of lists of token ids.")
    for word in words or ():
        several = isinstance(word, (list, tuple)) and bool(word) and isinstance(word[0], (list, tuple))
        given.append(DisjunctiveConstraint(word) if several else PhrasalConstraint(word))
    return given


def _checked(token_id: int) -> int:
    if not is_id(token_id):
        raise TypeError(f"token_id is {token_id!r} of type {type(token_id).__name__}, expected a whole number from 0.")
    return token_id


def _trie(words: list[list[int]]) -> dict[int, Any]:
    """The words as a tree of their tokens.

    Raises:
        InputError: a word that is the beginning of another, or equal to it.
    """
    root: dict[int, Any] = {}
    for word in words:
        node = root
        for token in word:
            node = node.setdefault(token, {})
    for index, word in enumerate(words):
        if any(other[: len(word)] == word for place, other in enumerate(words) if place != index):
            raise InputError(f"nested_token_ids: {word} is the beginning of another word. Leave one of them out.")
    return root

"""Random boards, and the gates' rules written down again the slow way: every sum anew, every completion tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

from hypothesis import strategies as st
from scipy import stats

from semprop.engine.gates import Board, Cell, Decision, Gate, Hole, Need, Verdict, folded

M, D = Hole.MISSING, Hole.DROPPED
Scores = Sequence[Sequence[float]]


@st.composite
def boards(draw: st.DrawFn, cells: st.SearchStrategy[Cell], most: int, ahead: int = 0, widest: int = 3) -> Board:
    width = draw(st.integers(2, widest))
    rows = draw(st.lists(st.tuples(*[cells] * width), max_size=most))
    sizes = draw(st.tuples(*[st.integers(1, 3)] * width))
    return Board(tuple(rows), len(rows) + draw(st.integers(0, ahead)), sizes)


def random_board(seed: int, lost: float = 0.0, longest: int = 200) -> Board:
    """A race of one to four candidates, some alike, some better or worse; 0/1 or graded."""
    rng = Random(seed)
    width = rng.randint(2, 5)
    levels = rng.choice([(0.0, 1.0), (0.0, 0.25, 0.5, 1.0), tuple(tenth / 10 for tenth in range(11))])
    skill = [0.5, *(rng.choice([0.3, 0.5, 0.6, 0.8]) for _ in range(width - 1))]

    def score(skill: float) -> Cell:
        if rng.random() < lost:
            return M
        return levels[min(int(rng.betavariate(4 * skill, 4 - 4 * skill) * len(levels)), len(levels) - 1)]

    rows = tuple(tuple(score(entry) for entry in skill) for _ in range(rng.randint(1, longest)))
    return Board(rows, len(rows), tuple(rng.randint(1, 3) for _ in range(width)))


def completions(given: Board, values: Sequence[float] = (0.0, 1.0)) -> Iterator[Scores]:
    """Every way to fill what is missing or not yet measured."""
    width = len(given.sizes)
    rows = [list(row) for row in given.rows] + [[M] * width for _ in range(given.pending)]
    holes = [(i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if isinstance(cell, Hole)]
    for filling in product(values, repeat=len(holes)):
        filled = dict(zip(holes, filling, strict=True))
        yield [
            [filled[i, j] if isinstance(cell, Hole) else cell for j, cell in enumerate(row)]
            for i, row in enumerate(rows)
        ]


def raced(gate: Gate, given: Board) -> tuple[Verdict, int]:
    """Feed rows one at a time, as the gate pass does: columns that leave the race are dropped for good."""
    fold, length = folded(gate, Board((), given.total, given.sizes, given.turn)), 0
    while isinstance(decided := fold.decide(), Need):
        assert 0 in decided.racing
        fold.add(tuple(cell if j in decided.racing else D for j, cell in enumerate(given.rows[length])))
        length += 1
    return decided, length


def outcome(decided: Verdict) -> tuple[Decision, int]:
    return decided.decision, decided.winner


# The exact gates -----------------------------------------------------------------------------------------------------


def hundredths(rows: Scores, column: int) -> list[int]:
    return [round((row[column] - row[0]) * 100) for row in rows]


def sign_flip_p(differences: Sequence[int]) -> float:
    """P(Σ ε|d| ≥ Σ d): by scipy's binomial where all are whole, else by the distribution as a dictionary."""
    sizes = [abs(entry) for entry in differences if entry]
    if set(sizes) <= {100}:
        wins = sum(entry > 0 for entry in differences)
        return float(stats.binom.sf(wins - 1, len(sizes), 0.5))
    chances = {0: 1.0}
    for size in sizes:
        grown: dict[int, float] = {}
        for total, chance in chances.items():
            for step in (size, -size):
                grown[total + step] = grown.get(total + step, 0.0) + chance / 2
        chances = grown
    return sum(chance for total, chance in chances.items() if total >= sum(differences))


def exact_winner(rows: Scores, sizes: Sequence[int], level: float, cut: int = 0) -> int:
    """The definition: the best by sum of those that are ahead in the first stage and significant at the level / k."""
    count = len(sizes) - 1
    good = [
        j
        for j in range(1, count + 1)
        if sign_flip_p(hundredths(rows, j)) <= level / count * (1 + 1e-9)
        and (not cut or sum(hundredths(rows[:cut], j)) > 0)
    ]
    sums = [round(sum(column), 9) for column in zip(*rows, strict=True)]
    return min(good, key=lambda j: (-sums[j], sizes[j], j), default=0)


# The sequential gate -------------------------------------------------------------------------------------------------


def capital(differences: Sequence[float], delta: float) -> float:
    """K, by its formula."""
    wealth, squares = 1.0, 1.0
    for count, d in enumerate(differences):
        variance = squares / (4 + count)
        wealth *= 1 + min(max(delta / variance, 0), 0.9) * d
        squares += d * d
    return wealth


def sequential_outcome(
    rows: Scores, sizes: Sequence[int], level: float, beta: float, delta: float
) -> tuple[Decision, int, int]:
    """The definition on a board without holes: (decision, winner, rows looked at)."""
    racing = list(range(1, len(sizes)))
    bar = len(racing) / level
    for length in range(1, len(rows) + 1):
        seen = rows[:length]

        def wealth(one: int, other: int, seen: Scores = seen) -> float:
            return capital([row[one] - row[other] for row in seen], delta)

        against = {j: wealth(j, 0) for j in racing}
        winning = [j for j in racing if against[j] >= bar]
        if winning:
            return Decision.ACCEPT, min(winning, key=lambda j: (-round(against[j], 9), sizes[j], j)), length
        beaten = {j for j in racing if any(wealth(i, j) >= bar for i in racing if i != j)}
        racing = [j for j in racing if against[j] > beta and j not in beaten]
        if not racing:
            return Decision.REJECT, 0, length
    return Decision.UNDECIDED, 0, len(rows)

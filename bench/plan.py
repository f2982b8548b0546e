"""How much is measured: everything, a first impression, or more than usual."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """`quick` does each thing about once, to see that it works; `large` takes sizes that need minutes."""

    quick: bool = False
    large: bool = False

    def rounds(self, usual: int) -> int:
        return 1 if self.quick else usual

    @property
    def concurrent_runs(self) -> int:
        return 5 if self.quick else 100

    @property
    def item_counts(self) -> tuple[int, ...]:
        """Sizes of datasets, smallest first."""
        if self.quick:
            return (100, 1_000)
        return (1_000, 10_000, 100_000, *((1_000_000,) if self.large else ()))

    @property
    def entry_counts(self) -> tuple[int, ...]:
        """Sizes of key-value stores and request queues, smallest first."""
        return self.item_counts[:3]

    @property
    def run_counts(self) -> tuple[int, ...]:
        """Sizes of run histories, smallest first."""
        return (10, 100) if self.quick else (100, 10_000, 100_000)

"""What Callboard costs, as ratios to yardsticks measured in the same run: see docs/explanation/performance.md."""

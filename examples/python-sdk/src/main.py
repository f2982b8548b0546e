"""Reads a text, pushes one item per word and leaves a summary as the output."""

import re
from collections import Counter

from apify import Actor


async def main() -> None:
    async with Actor:
        actor_input = await Actor.get_input()
        words = re.findall(r"\w+", actor_input["text"].lower())
        counts = Counter(word for word in words if len(word) >= actor_input["minLength"])
        Actor.log.info("Counted %d words", counts.total())

        await Actor.push_data(
            [{"word": word, "count": count} for word, count in counts.most_common()]
        )
        await Actor.set_value("OUTPUT", {"words": counts.total(), "distinctWords": len(counts)})
        await Actor.set_status_message(f"Distinct words: {len(counts)}", is_terminal=True)

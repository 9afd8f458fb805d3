"""Orders that a person gave by annotation: looked at once for each nonce."""

from dataclasses import dataclass
from datetime import datetime

from modelyard.api import names
from modelyard.api.meta import ObjectMeta
from modelyard.api.rollout import HandledCommand, Verb
from modelyard.plan.clock import timestamp
from modelyard.plan.conditions import bounded

MAX_TEXT = 256
UNKNOWN = "UnknownCommand"
IDLE = "NothingInFlight"
"""What comes of an order that is not carried out."""


@dataclass(frozen=True, slots=True)
class Command:
    """An order that was not looked at yet."""

    verb: Verb | None
    """None if nobody knows such an order."""
    nonce: str
    by: str
    reason: str
    generation: int

    def handled(self, outcome: str, now: datetime) -> HandledCommand:
        """Return the record that keeps the order from being looked at again."""
        return HandledCommand(
            nonce=self.nonce,
            verb=self.verb or "unknown",
            by=self.by,
            reason=self.reason,
            generation=self.generation,
            outcome=outcome,
            time=timestamp(now),
        )


def pending(metadata: ObjectMeta, last: HandledCommand | None) -> Command | None:
    """Return the order of the annotations, unless its nonce is that of the last one."""
    texts = metadata.annotations
    nonce = bounded(texts.get(names.ANNOTATION_NONCE, ""), MAX_TEXT)
    if not nonce or (last is not None and last.nonce == nonce):
        return None
    try:
        verb = Verb(texts.get(names.ANNOTATION_COMMAND, ""))
    except ValueError:
        verb = None
    by = bounded(texts.get(names.ANNOTATION_BY, ""), MAX_TEXT)
    reason = bounded(texts.get(names.ANNOTATION_REASON, ""), MAX_TEXT)
    return Command(verb, nonce, by, reason, metadata.generation)

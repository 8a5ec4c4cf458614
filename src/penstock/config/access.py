"""What operators write of who may go where, and when."""

from typing import Annotated, Literal

from pydantic import Field

from penstock.config.kinds import Name, UserName, Whole
from penstock.config.match_kinds import Destination, Network, Ports
from penstock.config.plan import DestinationPlan
from penstock.config.route import PRIORITY
from penstock.config.table import OneOrMore, Table, written
from penstock.config.week import Days, Hours


class Access(Table):
    """Who may go where, and when. Each key must match, and one of its values is enough; without keys it is for all."""

    name: Annotated[str, Name()] | None = Field(default=None, description="What it is called in logs; access-1 and on.")
    action: Literal["allow", "block"] = Field(description="What becomes of what it matches.", examples=["block"])
    priority: Annotated[int, Whole(-PRIORITY, PRIORITY)] = written(
        0, "Of several rules that match, the one with the highest counts; of several with that, one that blocks."
    )
    listeners: list[Annotated[str, Name()]] = Field(
        default=[], description="Names of the listeners that it is for; all."
    )
    clients: Annotated[list[Annotated[str, Network()]], OneOrMore()] = Field(
        default=[], description="Networks or addresses of clients."
    )
    destinations: Annotated[list[Annotated[DestinationPlan, Destination()]], OneOrMore()] = Field(
        default=[], description="Where the client of a forward proxy wants to go, by name and by every address of it."
    )
    users: Annotated[list[Annotated[str, UserName()]], OneOrMore()] = Field(
        default=[], description="Users of the listener."
    )
    ports: Annotated[list[Annotated[tuple[int, int], Ports()]], OneOrMore()] = Field(
        default=[], description='Ports that are asked for, or ranges such as "8000-8010".'
    )
    days: Annotated[list[Annotated[tuple[int, int], Days()]], OneOrMore()] = Field(
        default=[], description='Days of the week, such as "mon-fri", by the node\'s clock.'
    )
    hours: Annotated[list[Annotated[tuple[int, int], Hours()]], OneOrMore()] = Field(
        default=[], description='Times of day, such as "08:00-18:00"; over midnight for "22:00-06:00".'
    )

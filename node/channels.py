"""Channels of this node: outgoing ones are made anew each day, incoming ones opened when first needed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping

from ledger import limits
from ledger.errors import NotAllowed, SealBroken, TooLarge
from ledger.keys import OpeningKey, SigningKey
from ledger.names import KeyId, MemberName, NetworkId, Origin
from ledger.sealing import ChannelMessage, Contexts, Wrapper, open_channel, receive_channel, verify_channel_message
from node.membership import Membership
from node.storage import sidecars
from node.storage.store import Store

_DAY_MS = 86_400_000


class PartyGone(NotAllowed):
    code = "party-gone"
    template = "{member} has left the network: nothing is sealed to it any more"
    hint = "End the contract, and agree on a new one without that member."


class ChannelBook:
    """Who seals to whom under which channel. Outgoing state is owned by the writer thread.

    transport: None where records are only read.
    """

    def __init__(
        self,
        store: Store,
        *,
        member: MemberName,
        membership: Callable[[], Membership],
        transport: SigningKey | None,
        opening: Mapping[KeyId, OpeningKey],
    ) -> None:
        self._store = store
        self._member = member
        self._read_membership = membership
        self._transport = transport
        self._opening = opening
        self._day = -1
        self._outgoing: dict[MemberName, tuple[KeyId, Wrapper]] = {}
        self.numbers: dict[bytes, int] = {}
        self._incoming: OrderedDict[tuple[bytes, Origin], Wrapper] = OrderedDict()  # oldest use first
        self._contexts: dict[Origin, Contexts] = {}
        self._lock = threading.Lock()  # guards _incoming and the secrets in it

    @property
    def membership(self) -> Membership:
        """Who is in the network now."""
        return self._read_membership()

    def outgoing(self, readers: Iterable[MemberName], *, origin: Origin, now_ms: int) -> dict[MemberName, Wrapper]:
        """A wrapper for every reader, made and stored where there is none of today for its current key.

        Raises: Missing for a reader that never was a member, PartyGone for one that is none any more; TooLarge.
        """
        today = now_ms // _DAY_MS
        if today != self._day:
            self._day = today
            self._outgoing.clear()
            self.numbers.clear()
        for reader in readers:
            key_id = self._sealing_key_id(reader)
            known = self._outgoing.get(reader)
            if known is None or known[0] != key_id:
                self._outgoing[reader] = (key_id, self._open(reader, origin))
        return {reader: wrapper for reader, (_, wrapper) in self._outgoing.items()}

    def incoming(self, channel_id: bytes, message: ChannelMessage, origin: Origin) -> Wrapper:
        """The wrapper that opens wraps under a channel to this member. Raises: SealBroken, UnknownKey."""
        with self._lock:
            found = self._incoming.get((channel_id, origin))
            if found is None:
                found = self._receive(message, origin)
                self._remember(channel_id, origin, found)
            self._incoming.move_to_end((channel_id, origin))
            return found

    def contexts(self, origin: Origin) -> Contexts:
        """What section keys of a log are bound to."""
        found = self._contexts.get(origin)
        if found is None:
            found = self._contexts[origin] = Contexts(self._network(), origin)
        return found

    def check_message(self, message: ChannelMessage) -> None:
        """Verify who sent a channel message; anyone can. Raises: BadSignature, UnknownKey."""
        membership = self.membership
        key = membership.past_transport_key(message.wrapper, message.signer)
        verify_channel_message(message, membership.network_id, key)

    def _remember(self, channel_id: bytes, origin: Origin, wrapper: Wrapper) -> None:
        """Keep an opened channel, in the place of the one used longest ago if there are many: an author makes as many
        as it likes."""
        self._incoming[channel_id, origin] = wrapper
        while len(self._incoming) > limits.CHANNELS_OPEN_MAX:
            self._incoming.popitem(last=False)

    def _receive(self, message: ChannelMessage, origin: Origin) -> Wrapper:
        self.check_message(message)
        opening = self._opening.get(message.sealing_key)
        if message.reader != self._member or opening is None:
            raise SealBroken(section="-", reason=f"no sealing key {message.sealing_key} here")
        return Wrapper(receive_channel(message, self._network(), opening), origin)

    def _open(self, reader: MemberName, origin: Origin) -> Wrapper:
        assert self._transport is not None, "whoever only reads opens no channels"
        card = self.membership.card(reader)
        channel, message = open_channel(
            self._network(), wrapper=self._member, reader=reader, sealing_key=card.sealing_key, signer=self._transport
        )
        with self._store.write("channel") as tx:
            if sidecars.channel_room(tx, wrapper=self._member, reader=reader) < 1:
                # What comes under one more is read by nobody: better refused than lost.
                most = limits.CHANNELS_MAX
                raise TooLarge(what=f"the number of channels to {reader}", got=most + 1, limit=most, unit="channels")
            self.numbers[channel.id] = sidecars.insert_channel(
                tx, channel_id=channel.id, wrapper=self._member, reader=reader, message=message
            )
        wrapper = Wrapper(channel, origin)
        if reader == self._member:
            with self._lock:
                self._remember(channel.id, origin, wrapper)
        return wrapper

    def _sealing_key_id(self, reader: MemberName) -> KeyId:
        key_id = self.membership.card(reader).sealing_key.id
        if reader not in self.membership.names:
            raise PartyGone(member=reader)
        return key_id

    def _network(self) -> NetworkId:
        return self.membership.network_id

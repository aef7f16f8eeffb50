"""Channels of this node: outgoing ones are made anew each day, incoming ones opened when first needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

from ledger.errors import SealBroken
from ledger.keys import OpeningKey, SigningKey
from ledger.names import KeyId, MemberName, NetworkId, Origin
from ledger.sealing import ChannelMessage, Contexts, Wrapper, open_channel, receive_channel, verify_channel_message
from node.membership import Membership
from node.storage import sidecars
from node.storage.store import Store, Tx

_DAY_MS = 86_400_000


class ChannelBook:
    """Who seals to whom under which channel. Outgoing state is owned by the writer thread."""

    def __init__(
        self,
        store: Store,
        *,
        member: MemberName,
        membership: Callable[[], Membership],
        transport: SigningKey,
        opening: Mapping[KeyId, OpeningKey],
    ) -> None:
        self._store = store
        self._member = member
        self._membership = membership
        self._transport = transport
        self._opening = opening
        self._day = -1
        self._outgoing: dict[MemberName, tuple[KeyId, Wrapper]] = {}
        self.numbers: dict[bytes, int] = {}
        self._incoming: dict[tuple[bytes, Origin], Wrapper] = {}
        self._contexts: dict[Origin, Contexts] = {}
        self._lock = threading.Lock()  # guards _incoming and the secrets in it

    def outgoing(self, readers: Iterable[MemberName], *, origin: Origin, now_ms: int) -> dict[MemberName, Wrapper]:
        """A wrapper for every reader, made and stored where there is none of today for its current key.

        Raises: Missing for a reader that is no member.
        """
        today = now_ms // _DAY_MS
        if today != self._day:
            self._day = today
            self._outgoing.clear()
        for reader in readers:
            key_id = self._sealing_key_id(reader)
            known = self._outgoing.get(reader)
            if known is None or known[0] != key_id:
                self._outgoing[reader] = (key_id, self._open(reader, origin))
        return {reader: wrapper for reader, (_, wrapper) in self._outgoing.items()}

    def learn_numbers(self, tx: Tx) -> None:
        """Take in under which numbers the store has this member's own channels."""
        own = sidecars.list_channels(tx, wrapper=self._member).values()
        self.numbers.update({channel.id: channel.number for channel in own})

    def incoming(self, channel_id: bytes, message: ChannelMessage, origin: Origin) -> Wrapper:
        """The wrapper that opens wraps under a channel to this member. Raises: SealBroken, UnknownKey."""
        with self._lock:
            found = self._incoming.get((channel_id, origin))
            if found is None:
                found = self._incoming[channel_id, origin] = self._receive(message, origin)
            return found

    def contexts(self, origin: Origin) -> Contexts:
        """What section keys of a log are bound to."""
        found = self._contexts.get(origin)
        if found is None:
            found = self._contexts[origin] = Contexts(self._network(), origin)
        return found

    def check_message(self, message: ChannelMessage) -> None:
        """Verify who sent a channel message; anyone can. Raises: BadSignature, UnknownKey."""
        membership = self._membership()
        key = membership.past_transport_key(message.wrapper, message.signer)
        verify_channel_message(message, membership.network_id, key)

    def _receive(self, message: ChannelMessage, origin: Origin) -> Wrapper:
        self.check_message(message)
        opening = self._opening.get(message.sealing_key)
        if message.reader != self._member or opening is None:
            raise SealBroken(section="-", reason=f"no sealing key {message.sealing_key} here")
        return Wrapper(receive_channel(message, self._network(), opening), origin)

    def _open(self, reader: MemberName, origin: Origin) -> Wrapper:
        card = self._membership().card(reader)
        channel, message = open_channel(
            self._network(), wrapper=self._member, reader=reader, sealing_key=card.sealing_key, signer=self._transport
        )
        with self._store.write("channel") as tx:
            self.numbers[channel.id] = sidecars.insert_channel(
                tx, channel_id=channel.id, wrapper=self._member, reader=reader, message=message
            )
        wrapper = Wrapper(channel, origin)
        if reader == self._member:
            with self._lock:
                self._incoming[channel.id, origin] = wrapper
        return wrapper

    def _sealing_key_id(self, reader: MemberName) -> KeyId:
        return self._membership().card(reader).sealing_key.id

    def _network(self) -> NetworkId:
        return self._membership().network_id

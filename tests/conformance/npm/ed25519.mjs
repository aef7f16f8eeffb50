// Judges the keys and signatures of tests/vectors/ed25519.json with @noble/curves.
//
// The rules are those of docs/spec/checkpoint.md: a key, and the R of a signature, is a canonical point of the
// prime-order group other than the identity; S is below the group's order (the package sees to that).
import { readFileSync } from 'node:fs';
import { ed25519 } from '@noble/curves/ed25519';

const Point = ed25519.Point;
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, 'hex'));

function isProper(raw) {
  try {
    const point = Point.fromHex(raw, false); // false: the strict encoding of RFC 8032
    return !point.isSmallOrder() && point.isTorsionFree();
  } catch {
    return false;
  }
}

function verifies({ key, message, signature }) {
  const blob = bytes(signature);
  if (blob.length !== 64 || !isProper(bytes(key)) || !isProper(blob.subarray(0, 32))) return false;
  return ed25519.verify(blob, bytes(message), bytes(key), { zip215: false });
}

const { keys, signatures } = JSON.parse(readFileSync(0, 'utf8'));
process.stdout.write(
  JSON.stringify({
    keys: keys.map(({ key }) => isProper(bytes(key))),
    signatures: signatures.map(verifies),
  }),
);

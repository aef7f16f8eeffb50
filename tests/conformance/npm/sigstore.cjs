// Judges checkpoints with inclusion proofs with @sigstore/verify, the verifier of npm's own package provenance.
const { readFileSync } = require('node:fs');
const { createPublicKey } = require('node:crypto');
const { verifyTLogInclusion } = require('@sigstore/verify/dist/tlog');

function judge({ entry, index, path, note, name, hash, key }) {
  const raw = Buffer.from(key, 'base64').toString('base64url');
  const log = {
    logID: Buffer.from(hash, 'hex'),
    baseURL: name,
    publicKey: createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw }, format: 'jwk' }),
  };
  try {
    verifyTLogInclusion(
      {
        canonicalizedBody: Buffer.from(entry, 'base64'),
        inclusionProof: {
          logIndex: String(index),
          hashes: path.map((digest) => Buffer.from(digest, 'base64')),
          checkpoint: { envelope: note },
        },
      },
      [log],
    );
    return '';
  } catch (error) {
    return error.message || String(error);
  }
}

process.stdout.write(JSON.stringify(JSON.parse(readFileSync(0, 'utf8')).map(judge)));

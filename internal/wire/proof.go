package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
)

// proofContext keeps a signature made for an agent from meaning anything else.
const proofContext = "pocketdock agent proof v1\n"

// Proof signs a challenge together with the request that will follow it, so
// that whoever relays the connection cannot use the signature for another
// request.
func Proof(key ed25519.PrivateKey, nonce, request []byte) []byte {
	return ed25519.Sign(key, proofText(nonce, request))
}

// Proven reports whether proof is key's signature for nonce and request.
func Proven(key ed25519.PublicKey, nonce, request, proof []byte) bool {
	return len(key) == ed25519.PublicKeySize && len(nonce) == NonceSize &&
		ed25519.Verify(key, proofText(nonce, request), proof)
}

func proofText(nonce, request []byte) []byte {
	sum := sha256.Sum256(request)
	b := append([]byte(proofContext), nonce...)
	return append(b, sum[:]...)
}

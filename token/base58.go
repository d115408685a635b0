package token

import (
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
)

const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// maxBase58 is more than any base58check address takes.
const maxBase58 = 64

// base58Check decodes an address that ends in four bytes of its double SHA-256,
// and gives the bytes before those.
func base58Check(addr string) (string, error) {
	data, ok := base58(addr)
	if !ok || len(data) < 5 {
		return "", errWalletForm
	}
	payload, sum := data[:len(data)-4], data[len(data)-4:]
	if checksum(payload) != [4]byte(sum) {
		return "", errBase58Check
	}
	return string(payload), nil
}

func encodeBase58Check(payload []byte) string {
	sum := checksum(payload)
	return encodeBase58(append(payload, sum[:]...))
}

func checksum(payload []byte) [4]byte {
	once := sha256.Sum256(payload)
	twice := sha256.Sum256(once[:])
	return [4]byte(twice[:4])
}

// base58 reads a number in base 58; each leading 1 is a zero byte.
func base58(s string) ([]byte, bool) {
	if s == "" || len(s) > maxBase58 {
		return nil, false
	}
	n, digit, base := new(big.Int), new(big.Int), big.NewInt(58)
	for i := range len(s) {
		value := strings.IndexByte(base58Digits, s[i])
		if value < 0 {
			return nil, false
		}
		n.Add(n.Mul(n, base), digit.SetInt64(int64(value)))
	}
	zeros := len(s) - len(strings.TrimLeft(s, "1"))
	return append(make([]byte, zeros), n.Bytes()...), true
}

func encodeBase58(data []byte) string {
	var reversed []byte
	for n, digit, base := new(big.Int).SetBytes(data), new(big.Int), big.NewInt(58); n.Sign() > 0; {
		n.DivMod(n, base, digit)
		reversed = append(reversed, base58Digits[digit.Int64()])
	}
	for i := 0; i < len(data) && data[i] == 0; i++ {
		reversed = append(reversed, '1')
	}
	slices.Reverse(reversed)
	return string(reversed)
}

package token

import "strings"

const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// The constants that tell the two checksums apart: BIP 173 for witness version
// 0, BIP 350 for all later ones.
const (
	bech32Sum  = 1
	bech32mSum = 0x2bc830a3
)

// segwitAddress verifies a segregated-witness address and gives it in lower case
// (BIP 173, BIP 350).
func segwitAddress(prefix, addr string) (string, error) {
	lower, digits, err := bech32Values(addr, len(prefix)+1)
	if err != nil {
		return "", err
	}
	if len(addr) > 90 || len(digits) < 8 {
		return "", errWalletForm
	}
	want := uint32(bech32mSum)
	if digits[0] == 0 {
		want = bech32Sum
	}
	if bech32Polymod(prefix, digits) != want {
		return "", errBech32Check
	}
	program, ok := regroup(digits[1 : len(digits)-6])
	size := len(program)
	if !ok || digits[0] > 16 || size < 2 || size > 40 || digits[0] == 0 && size != 20 && size != 32 {
		return "", errWalletForm
	}
	return lower, nil
}

// bech32Values reads the digits from a place on. Mixed case is refused, since
// the checksum would not see it.
func bech32Values(addr string, from int) (lower string, digits []byte, err error) {
	lower = strings.ToLower(addr)
	if addr != lower && addr != strings.ToUpper(addr) {
		return "", nil, errBech32Check
	}
	for i := from; i < len(lower); i++ {
		value := strings.IndexByte(bech32Digits, lower[i])
		if value < 0 {
			return "", nil, errWalletForm
		}
		digits = append(digits, byte(value))
	}
	return lower, digits, nil
}

func bech32Polymod(prefix string, digits []byte) uint32 {
	sum := uint32(1)
	next := func(value byte) {
		top := sum >> 25
		sum = sum&0x1ffffff<<5 ^ uint32(value)
		for i, generator := range [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			sum ^= -(top >> i & 1) & generator
		}
	}
	for i := range len(prefix) {
		next(prefix[i] >> 5)
	}
	next(0)
	for i := range len(prefix) {
		next(prefix[i] & 31)
	}
	for _, digit := range digits {
		next(digit)
	}
	return sum
}

// regroup turns groups of five bits into bytes. What is left over must be fewer
// than five bits, all zero.
func regroup(digits []byte) ([]byte, bool) {
	var out []byte
	acc, bits := uint32(0), 0
	for _, digit := range digits {
		acc = acc<<5 | uint32(digit)
		if bits += 5; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	return out, bits < 5 && acc == 0
}

// cashPrefix may be left out of an address, but is part of its checksum.
const cashPrefix = "bitcoincash"

// cashVersions maps the type in a cashaddr's first byte, for hashes of 20 bytes,
// to the base58check version of the same script. The last two are those of wallets that
// take tokens.
var cashVersions = map[byte]byte{0x00: 0x00, 0x08: 0x05, 0x10: 0x00, 0x18: 0x05}

// cashAddress verifies a Bitcoin Cash address of the newer form (cashaddr) and
// gives the base58check spelling of the same script, the one that the chain had
// first. A type that has none stays as it is, in lower case.
func cashAddress(addr string) (string, error) {
	from := 0
	if len(addr) > len(cashPrefix) && strings.EqualFold(addr[:len(cashPrefix)+1], cashPrefix+":") {
		from = len(cashPrefix) + 1
	}
	lower, digits, err := bech32Values(addr, from)
	if err != nil {
		return "", err
	}
	if len(digits) < 10 || cashPolymod(cashPrefix, digits) != 0 {
		return "", errBech32Check
	}
	payload, ok := regroup(digits[:len(digits)-8])
	if !ok {
		return "", errWalletForm
	}
	version, old := cashVersions[payload[0]]
	if !old {
		return lower[from:], nil
	}
	if len(payload) != 21 {
		return "", errWalletForm
	}
	payload[0] = version
	return encodeBase58Check(payload), nil
}

// cashPolymod is the 40-bit checksum of the cashaddr specification.
func cashPolymod(prefix string, digits []byte) uint64 {
	sum := uint64(1)
	next := func(value byte) {
		top := sum >> 35
		sum = sum&0x07ffffffff<<5 ^ uint64(value)
		for i, generator := range [5]uint64{0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8, 0x1e4f43e470} {
			sum ^= -(top >> i & 1) & generator
		}
	}
	for i := range len(prefix) {
		next(prefix[i] & 31)
	}
	next(0)
	for _, digit := range digits {
		next(digit)
	}
	return sum ^ 1
}

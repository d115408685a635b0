package risk

import "encoding/binary"

// protecting brings the subject of a number under protection.
func protecting(kind Kind, subject uint64, until int64) (Item, Body) {
	content := ProtectionBody{Epoch: 1, Covers: "salaries", Comment: "two said so"}
	binary.BigEndian.PutUint64(content.Token[8:], subject)
	content.Token[0] = uint8(kind)
	data, err := content.Encode()
	if err != nil {
		panic(err)
	}
	body := bodyOf(data)
	return Item{Op: ItemProtect, Kind: kind, Expiry: until, Commitment: body.Commit()}, body
}

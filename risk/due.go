package risk

import "encoding/binary"

// DueOf gives the time from which a record may be removed, zero for never. A
// store that makes its index of due times anew needs it.
func DueOf(key, value []byte) (int64, error) {
	switch key[0] {
	case tableListing:
		l, err := ReadListing(ParseListingRecordKey(key), value)
		if err != nil {
			return 0, err
		}
		return l.purgeAt(), nil
	case tableProtection:
		p, err := ReadProtection(key, value)
		if err != nil {
			return 0, err
		}
		return p.purgeAt(), nil
	case tableRemembered:
		m := &Remembered{}
		if err := readRecord(value, m.read); err != nil {
			return 0, err
		}
		return m.NotAfter + 1, nil
	default:
		return 0, nil
	}
}

// ItemIDBytes is the length of an encoded [ItemID].
const ItemIDBytes = 10

// AppendTo writes u64 leaf | u16 item.
func (id ItemID) AppendTo(dst []byte) []byte { return putU16(putU64(dst, id.Leaf), id.Item) }

// ReadItemID is the inverse of [ItemID.AppendTo]; b has [ItemIDBytes] bytes.
func ReadItemID(b []byte) ItemID {
	return ItemID{Leaf: binary.BigEndian.Uint64(b), Item: binary.BigEndian.Uint16(b[8:])}
}

package risk

// The bodies of a command's items stand beside its header in one encoding,
// wherever they go:
//
//	u16 bodies { u32 body }
//
// each as [Body.AppendTo] writes it, of no bytes if it was erased.

// EncodeBodies gives the bodies of one leaf, for who may read them.
func EncodeBodies(bodies []Body) []byte { return appendBodies(nil, bodies) }

// DecodeBodies reads what [EncodeBodies] writes and refuses all else. That they
// are the right ones is for the caller to check, by their commitments.
func DecodeBodies(data []byte) ([]Body, error) {
	if len(data) > MaxEntryBytes {
		return nil, refuse(Malformed, "bodies", "have %d bytes; at most %d are allowed", len(data), MaxEntryBytes)
	}
	r := readerOf("bodies", data)
	bodies := readBodies(r)
	return bodies, r.done()
}

func appendBodies(dst []byte, bodies []Body) []byte {
	dst = putU16(dst, uint16(len(bodies)))
	for i := range bodies {
		if bodies[i].Erased() {
			dst = putU32(dst, 0)
			continue
		}
		dst = putU32(dst, uint32(16+len(bodies[i].Data)))
		dst = bodies[i].AppendTo(dst)
	}
	return dst
}

func readBodies(r *reader) []Body {
	bodies := make([]Body, r.count(MaxItems, 4))
	for i := range bodies {
		raw := r.long(MaxRuleSetBytes + 16)
		if len(raw) == 0 {
			continue
		}
		body, err := ReadBody(raw)
		if err != nil {
			r.fail("has a body too short to hold its salt")
		}
		bodies[i] = body
	}
	return bodies
}

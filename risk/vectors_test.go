package risk

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/vectors.json if there is none")

const vectorsFile = "testdata/vectors.json"

// vectors are the bytes of everything that is signed, hashed or kept, by name.
func vectors() map[string]string {
	all := map[string]string{}
	put := func(name string, data []byte) { all[name] = hex.EncodeToString(data) }
	for _, s := range samples() {
		signed, entry := s.signed(), s.entry()
		id := signed.ID()
		put("command/"+s.name+"/header", signed.Header)
		put("command/"+s.name+"/id", id[:])
		put("command/"+s.name+"/signed", signed.Encode())
		put("command/"+s.name+"/entry", entry.Encode())
	}
	for name, it := range laterItems() {
		put("item/"+name, it.appendTo(nil))
	}
	for name, l := range sampleLeaves() {
		put("leaf/"+name, l.Encode())
	}
	for name, rec := range sampleRecords() {
		put("record/"+name+"/key", rec.key())
		put("record/"+name+"/value", rec.appendTo(nil))
	}
	body, err := fullBody().Encode()
	if err != nil {
		panic(err)
	}
	put("body/listing", body)
	protection, err := fullProtection().Encode()
	if err != nil {
		panic(err)
	}
	put("body/protection", protection)
	salted := bodyOf(body)
	put("body/salted", salted.AppendTo(nil))
	key := ListingKey{Kind: KindPhone, Token: Token{1, 15: 2}, Reporter: acq.id, List: ListWatch, Code: 0x0304}
	put("listing_key", key.AppendTo(nil))
	for name, h := range map[string]Hash{
		"commitment/item":        salted.Commit(),
		"commitment/empty_item":  (&Body{Data: []byte{}}).Commit(),
		"commitment/institution": CommitInstitution([16]byte{1}, acq.id, "Acquirer"),
		"commitment/epoch_key":   CommitEpochKey([32]byte{1}),
	} {
		put(name, h[:])
	}
	origin, keyID := OriginNamed(OriginCopy, "ipsum"), publicOf(acq.keys[0]).ID()
	put("id/origin", origin.Ref[:])
	put("id/key", keyID[:])
	maps.Copy(all, numbers())
	return all
}

// numbers are the numbers of all names: they stand in leaves and records.
func numbers() map[string]string {
	all := map[string]string{}
	for what, names := range enumerations() {
		for n, name := range names {
			if name != "" {
				all["number/"+what+"/"+name] = fmt.Sprintf("%02x", n)
			}
		}
	}
	for bit, name := range singlePurposes() {
		all["number/purpose/"+name] = fmt.Sprintf("%02x", uint8(bit))
	}
	return all
}

func enumerations() map[string][]string {
	return map[string][]string{
		"kind": kindNames[:], "command": commandNames[:], "origin": originNames[:], "lift_reason": liftNames[:],
		"status": statusNames[:], "refusal": refusalNames[:], "advice": adviceNames[:], "phase": phaseNames[:],
		"role": roleNames[:], "part": partNames[:], "list": listNames[:], "institution_role": institutionRoleNames[:],
		"suffrage": suffrageNames[:], "rule_set_state": ruleSetStateNames[:], "listing_state": listingStateNames[:], "stage": stageNames[:],
	}
}

func readVectors(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.FromSlash(vectorsFile))
	if errors.Is(err, fs.ErrNotExist) && *update {
		raw, err = json.MarshalIndent(vectors(), "", "\t")
		if err == nil {
			err = os.MkdirAll(filepath.Dir(vectorsFile), 0o755)
		}
		if err == nil {
			err = os.WriteFile(vectorsFile, append(raw, '\n'), 0o644)
		}
	}
	if err != nil {
		t.Fatalf("read the frozen vectors: %v", err)
	}
	frozen := map[string]string{}
	if err := json.Unmarshal(raw, &frozen); err != nil {
		t.Fatalf("read the frozen vectors: %v", err)
	}
	return frozen
}

func TestTheFormatsAreFrozen(t *testing.T) {
	frozen, now := readVectors(t), vectors()
	for _, name := range slices.Sorted(maps.Keys(now)) {
		want, known := frozen[name]
		switch {
		case !known:
			t.Errorf("%s has no frozen vector: a new format gets one, by hand, in the commit that adds it:\n%q: %q", name, name, now[name])
		case want != now[name]:
			t.Errorf("%s is not what is frozen: ledgers hold these bytes for ever, so change the design, not the vector\n got %s\nwant %s", name, now[name], want)
		}
	}
	for name := range frozen {
		if _, made := now[name]; !made {
			t.Errorf("%s is frozen and nothing makes it any more: change the design, not the vector", name)
		}
	}
}

func TestFrozenVectorsAreRead(t *testing.T) {
	frozen := readVectors(t)
	raw := func(name string) []byte {
		data, err := hex.DecodeString(frozen[name])
		if err != nil || len(data) == 0 {
			t.Fatalf("vector %s: %v", name, err)
		}
		return data
	}
	for _, s := range samples() {
		if _, err := DecodeCommand(raw("command/" + s.name + "/header")); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
		e, err := DecodeEntry(raw("command/" + s.name + "/entry"))
		if err != nil || hex.EncodeToString(e.Signed.Encode()) != frozen["command/"+s.name+"/signed"] {
			t.Errorf("the entry of %s does not hold its signed command: %v", s.name, err)
		}
	}
	for name := range sampleLeaves() {
		if _, err := DecodeLeaf(raw("leaf/" + name)); err != nil {
			t.Errorf("leaf %s: %v", name, err)
		}
	}
	if key := raw("listing_key"); len(key) != ListingKeyBytes || ParseListingKey(key).Code != 0x0304 {
		t.Errorf("the listing key %x is not %d bytes that can be taken apart", key, ListingKeyBytes)
	}
}

func TestEveryNameIsReadBack(t *testing.T) {
	parsers := map[string]func(string) (uint8, error){
		"kind":             func(s string) (uint8, error) { v, err := ParseKind(s); return uint8(v), err },
		"origin":           func(s string) (uint8, error) { v, err := ParseOriginKind(s); return uint8(v), err },
		"lift_reason":      func(s string) (uint8, error) { v, err := ParseLiftReason(s); return uint8(v), err },
		"refusal":          func(s string) (uint8, error) { v, err := ParseRefusal(s); return uint8(v), err },
		"advice":           func(s string) (uint8, error) { v, err := ParseAdvice(s); return uint8(v), err },
		"phase":            func(s string) (uint8, error) { v, err := ParsePhase(s); return uint8(v), err },
		"role":             func(s string) (uint8, error) { v, err := ParseRole(s); return uint8(v), err },
		"part":             func(s string) (uint8, error) { v, err := ParsePart(s); return uint8(v), err },
		"list":             func(s string) (uint8, error) { v, err := ParseList(s); return uint8(v), err },
		"institution_role": func(s string) (uint8, error) { v, err := ParseInstitutionRole(s); return uint8(v), err },
		"suffrage":         func(s string) (uint8, error) { v, err := ParseSuffrage(s); return uint8(v), err },
	}
	for what, parse := range parsers {
		for n, name := range enumerations()[what] {
			if name == "" {
				continue
			}
			if got, err := parse(name); err != nil || int(got) != n {
				t.Errorf("%s %q is read as %d, %v; want %d", what, name, got, err, n)
			}
		}
		if got, err := parse("nonsense"); err == nil {
			t.Errorf("%s: nonsense is read as %d", what, got)
		}
	}
	for bit, name := range singlePurposes() {
		if got, err := ParsePurpose(name); err != nil || got != bit {
			t.Errorf("purpose %q is read as %d, %v", name, got, err)
		}
	}
	if got := (PurposeOnboarding | PurposeAML).String(); got != "onboarding+aml" {
		t.Errorf("a set of purposes prints as %q", got)
	}
}

func singlePurposes() map[Purpose]string {
	single := map[Purpose]string{}
	for bit, name := range purposeNames {
		if name != "" {
			single[Purpose(bit)] = name
		}
	}
	return single
}

package token

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// The short way for Chinese mobile numbers must give what the general way gives.
func TestChineseMobileShortCut(t *testing.T) {
	same := func(number string) error {
		if general, err := parsePhone(number); err != nil || general != number || !isChineseMobile(number) {
			return fmt.Errorf("%s: the general way gives %q, %v", number, general, err)
		}
		return nil
	}
	for prefix := 1300; prefix < 2000; prefix++ {
		if err := same(fmt.Sprintf("+86%d1234567", prefix)); err != nil {
			t.Error(err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := same("+86" + rapid.StringMatching(`1[3-9][0-9]{9}`).Draw(t, "number")); err != nil {
			t.Fatal(err)
		}
	})
}

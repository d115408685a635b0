package token_test

import (
	"strings"
	"testing"

	"github.com/risknet/risknet/risk"
)

func TestCard(t *testing.T) {
	accept(t, risk.KindCard, []same{
		{"4111 1111-1111 1111", "4111111111111111"},
		{"378282246310005", "378282246310005"},
		{"４１１１　1111 1111 1111", "4111111111111111"},
		{"6222020000000000000", "6222020000000000000"},
		{"500000000009", "500000000009"},
	})
	refuse(t, risk.KindCard, []wrong{
		{"4111111111111112", "Luhn"},
		{"4111111111111ll1", "not a digit"},
		{"٤111111111111111", "not a digit"},
		{"--", "not a digit"},
		{"00000000000", "12 to 19"},
		{"00000000000000000000", "12 to 19"},
	})
}

func TestAccount(t *testing.T) {
	accept(t, risk.KindAccount, []same{
		{"de89 3704 0044 0532 0130 00", "DE89370400440532013000"},
		{"GB82-WEST-1234-5698-7654-32", "GB82WEST12345698765432"},
		{"NO93 8601 1117 947", "NO9386011117947"},
		{"102100099996 / 6222 0200-1234", "102100099996/622202001234"},
		{"icbkcnbj/ab12", "ICBKCNBJ/AB12"},
		{"１０２／３", "102/3"},
		{"1/x \u0301", "1/X\u0301"},
	})
	refuse(t, risk.KindAccount, []wrong{
		{"DE89370400440532013001", "mod 97"},
		{"DE8937040044053201300O", "mod 97"},
		{"6222020012345678", "bank code"},
		{"DE89", "bank code"},
		{"DE89 3704 0044 0532 0130 0é", "bank code"},
		{"102/1/2", "two parts"},
		{"/1", "two parts"},
		{"102/ ", "two parts"},
		{"102/-", "two parts"},
	})
}

func TestCompanyAndAgent(t *testing.T) {
	for _, kind := range []risk.Kind{risk.KindCompany, risk.KindAgent} {
		accept(t, kind, []same{
			{"91350100M000100Y43", "91350100M000100Y43"},
			{" 91350100 m000100y-43", "91350100M000100Y43"},
			{"gb / companies  house / 0123-4567", "GB/COMPANIES HOUSE/01234567"},
			{"DE/HRB München/12 345", "DE/HRB MÜNCHEN/12345"},
			{"Name/ Müller & Söhne  GmbH", "name/müller & söhne gmbh"},
			{"name/A/B", "name/a/b"},
		})
		refuse(t, kind, []wrong{
			{"91350100M000100Y44", "GB 32100"},
			{"91350100M000100Y4O", "character"},
			{"91350100M000100Y4", "known form"},
			{"GB/1234", "known form"},
			{"GB/A/1/2", "known form"},
			{"GB//1", "known form"},
			{"GB/A/-", "known form"},
			{"GB/A/1\u2100", "known form"},
			{"GBR/A/1", "two letters"},
			{"name/ 12 ", "without a letter"},
		})
	}
}

// A credit code and an identity number must notice each wrong character and each
// swap of neighbours; that is what their check characters are for.
func TestCheckCharactersNoticeSlips(t *testing.T) {
	slips := func(kind risk.Kind, prefix, good, digits string, from, to int) {
		for i := from; i < to; i++ {
			for _, digit := range digits {
				if bad := good[:i] + string(digit) + good[i+1:]; bad != good {
					refuse(t, kind, []wrong{{prefix + bad, "check the characters"}})
				}
			}
			if good[i] != good[i+1] {
				swapped := good[:i] + good[i+1:i+2] + good[i:i+1] + good[i+2:]
				refuse(t, kind, []wrong{{prefix + swapped, "check the characters"}})
			}
		}
	}
	slips(risk.KindCompany, "", "91350100M000100Y43", "0123456789ABCDEFGHJKLMNPQRTUWXY", 0, 17)
	slips(risk.KindPerson, "CN-ID/", "11010519491231002X", "0123456789", 0, 5)
	slips(risk.KindPerson, "CN-ID/", "11010519491231002X", "0123456789", 14, 16)
}

func TestPerson(t *testing.T) {
	accept(t, risk.KindPerson, []same{
		{"CN-ID/11010519491231002X", "CN-ID/11010519491231002X"},
		{"cn-id/110105 19491231 002x", "CN-ID/11010519491231002X"},
		{"CN/ID/11010519491231002X", "CN-ID/11010519491231002X"},
		{"ｃｎ－id／１１０１０５19491231002Ｘ", "CN-ID/11010519491231002X"},
		{"CN-ID/440524188001010014", "CN-ID/440524188001010014"},
		{"fr/passport/12 ab-34567", "FR/PASSPORT/12AB34567"},
		{"name/Zhang  San", "name/zhang san"},
		{"NAME/ ＺＨＡＮＧ\u3000San ", "name/zhang san"},
		{"name/Jose\u0301 STRASSE", "name/josé strasse"},
		{"name/José Straße", "name/josé strasse"},
		{"name/张三", "name/张三"},
		{"name/Zhang\u200b San", "name/zhang san"},
		{"name/A/B", "name/a/b"},
	})
	refuse(t, risk.KindPerson, []wrong{
		{"CN-ID/110105194912310021", "GB 11643"},
		{"CN-ID/11010519490231002X", "date of birth"},
		{"CN-ID/11010517491231002X", "date of birth"},
		{"CN-ID/110105491231002", "17 digits"},
		{"CN-ID/X1010519491231002X", "17 digits"},
		{"CN-ID/", "17 digits"},
		{"11010519491231002X", "known form"},
		{"Zhang San", "known form"},
		{"FR/12AB34567", "known form"},
		{"FRA/PASSPORT/12AB34567", "two letters"},
		{"name/", "without a letter"},
		{"name/ 12 ", "without a letter"},
	})
}

func TestAcquired(t *testing.T) {
	for _, kind := range []risk.Kind{risk.KindMerchant, risk.KindTerminal, risk.KindStore} {
		accept(t, kind, []same{
			{"48021000/898440358120123", "48021000/898440358120123"},
			{" acq-7 / m 01 ", "ACQ-7/M 01"},
		})
		refuse(t, kind, []wrong{
			{"898440358120123", "acquirer/number"},
			{"a/b/c", "acquirer/number"},
			{"a/", "acquirer/number"},
			{"/b", "acquirer/number"},
		})
	}
}

func TestWallet(t *testing.T) {
	const evm = "eth:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed"
	accept(t, risk.KindWallet, []same{
		{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", evm},
		{"0x5AAEB6053F3E94C9B9A09F33669435E7EF1BEAED", evm},
		{"0X5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", evm},
		{"ETH: 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", evm},
		{"ARB:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", evm},
		{"USDT:0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", evm},
		{"TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "tron:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"},
		{"usdt:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "tron:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"},
		{"TRX:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "tron:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"},
		{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "btc:1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
		{"XBT:3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", "btc:3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy"},
		{"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "btc:bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"},
		{"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "btc:bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"},
		{"BCH:bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "bch:1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu"},
		{"bch:QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A", "bch:1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu"},
		{"bch:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq", "bch:3CWFddi6m4ndiGyKqzYvsFYagqDLPVMTzC"},
		{"BSV:1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu", "bsv:1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu"},
		{"XRP:rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "xrp:rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh"},
		{"my-chain:Ab_c/1", "my-chain:Ab_c/1"},
	})
	refuse(t, risk.KindWallet, []wrong{
		{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed", "EIP-55"},
		{"eth:0x5aaeb6053f3e94c9b9a09f33669435e7ef1bea", "not an address"},
		{"eth:5aaeb6053f3e94c9b9a09f33669435e7ef1beaed", "not an address"},
		{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "base58check"},
		{"btc:1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a", "not an address"},
		{"btc:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "not an address"},
		{"btc:" + strings.Repeat("1", 65), "not an address"},
		{"btc:11", "not an address"},
		{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "bech32"},
		{"bc1Qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "bech32"},
		{"bc1", "not an address"},
		{"bc1pw5dgrnzv", "not an address"},
		{"BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "not an address"},
		{"bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du", "bech32"},
		{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3tb", "not an address"},
		{"bch:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6q", "bech32"},
		{"rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "does not tell its chain"},
		{"usdt:rHb9CJAWyB4rj91VRWn96DkukG4bwdtyTh", "several chains"},
		{"my chain:abc", "short name"},
		{":abc", "short name"},
		{"sol:a b", "characters that none has"},
		{"sol:", "not an address"},
	})
}

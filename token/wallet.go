package token

import (
	"encoding/hex"
	"strings"

	"golang.org/x/crypto/sha3"
)

var (
	errWalletChain = &fault{"does not tell its chain", "write chain:address, as in ltc:…"}
	errWalletName  = &fault{"has a chain that is not a short name of letters, digits and hyphens", "write chain:address, as in btc:…"}
	errWalletForm  = &fault{"is not an address of its chain", "check the address and the chain"}
	errWalletAsset = &fault{"names an asset that is held on several chains, and an address that is of none known", "write the chain's name in the place of the asset's"}
	errWalletChars = &fault{"has an address with characters that none has", "write letters and digits only"}
	errBase58Check = &fault{"fails its checksum (base58check)", "check the characters, also capitals"}
	errBech32Check = &fault{"fails its checksum (bech32)", "check the characters"}
	errEIP55       = &fault{"fails its checksum (EIP-55)", "check the characters, or write the address in lower case"}
)

// chainOf maps names of chains, and of assets that live on one chain, to the
// chain under which an address is listed. One key controls the same address on
// every EVM chain, so all of these are eth: a wallet is one subject wherever it
// is used. Assets on several chains stand with an empty chain: the address tells.
// A name that is not here is a chain of its own, unless the address is one of EVM.
var chainOf = map[string]string{
	"xbt": "btc", "bitcoin": "btc",
	"ethereum": "eth", "evm": "eth", "eip155": "eth", "etc": "eth",
	"arb": "eth", "arbitrum": "eth", "avax": "eth", "avalanche": "eth", "base": "eth",
	"bnb": "eth", "bsc": "eth", "ftm": "eth", "fantom": "eth", "gnosis": "eth", "xdai": "eth",
	"linea": "eth", "matic": "eth", "op": "eth", "optimism": "eth", "pol": "eth",
	"polygon": "eth", "scroll": "eth", "zksync": "eth",
	"erc20": "eth", "bep20": "eth", "trc20": "tron", "bitcoincash": "bch", "bitcoin-cash": "bch",
	"trx": "tron", "litecoin": "ltc", "dogecoin": "doge", "zcash": "zec", "monero": "xmr",
	"ripple": "xrp", "xrpl": "xrp", "solana": "sol", "verge": "xvg",
	"usdt": "", "usdc": "", "tusd": "", "usdd": "", "dai": "", "busd": "", "weth": "", "wbtc": "",
}

// base58Versions are the leading bytes of base58check addresses by chain, as the
// chains' own sources give them (for Bitcoin, chainparams.cpp).
var base58Versions = map[string][]string{
	"btc":  {"\x00", "\x05"},
	"bch":  {"\x00", "\x05"},
	"bsv":  {"\x00", "\x05"},
	"btg":  {"\x26", "\x17"},
	"dash": {"\x4c", "\x10"},
	"doge": {"\x1e", "\x16"},
	"ltc":  {"\x30", "\x05", "\x32"},
	"tron": {"\x41"},
	"xvg":  {"\x1e", "\x21"},
	"zec":  {"\x1c\xb8", "\x1c\xbd"},
}

// A script of Litecoin had the version of Bitcoin's first, and has one of its own now.
const litecoinOldScript, litecoinScript = "\x05", "\x32"

// segwitPrefixes are the human-readable parts of segregated-witness addresses.
var segwitPrefixes = map[string]string{"btc": "bc", "ltc": "ltc", "btg": "btg"}

// wallet: chain:address, the chain in lower case by the table above, the address
// in the one spelling that its chain gives it, with its checksum verified.
func wallet(raw string) (string, error) {
	chain, addr, named := strings.Cut(raw, ":")
	if !named {
		chain, addr = "", raw
	}
	chain, addr = strings.ToLower(strings.TrimSpace(chain)), strings.TrimSpace(addr)
	if named && !isChainName(chain) {
		return "", errWalletName
	}
	known, alias := chainOf[chain]
	if alias {
		chain = known
	}
	if chain == "" {
		if chain = chainByForm(addr); chain == "" {
			if named {
				return "", errWalletAsset
			}
			return "", errWalletChain
		}
	}
	if isEVM(addr) && base58Versions[chain] == nil {
		chain = "eth"
	}
	addr, err := onChain(chain, addr)
	return chain + ":" + addr, err
}

func isChainName(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// chainByForm tells the chain of an address that stands alone: the forms that
// are in the widest use, and of which no other chain is meant by default.
func chainByForm(addr string) string {
	switch {
	case isEVM(addr):
		return "eth"
	case strings.HasPrefix(strings.ToLower(addr), "bc1"):
		return "btc"
	case len(addr) == 34 && addr[0] == 'T':
		return "tron"
	case len(addr) >= 25 && len(addr) <= 35 && (addr[0] == '1' || addr[0] == '3'):
		return "btc"
	default:
		return ""
	}
}

// onChain verifies an address and gives its normal form.
func onChain(chain, addr string) (string, error) {
	if chain == "eth" {
		return evmAddress(addr)
	}
	if prefix := segwitPrefixes[chain]; prefix != "" && strings.HasPrefix(strings.ToLower(addr), prefix+"1") {
		return segwitAddress(prefix, addr)
	}
	if chain == "bch" && len(addr) > 35 {
		return cashAddress(addr)
	}
	versions, checked := base58Versions[chain]
	if !checked || chain == "zec" && !strings.HasPrefix(addr, "t") {
		return genericAddress(addr)
	}
	payload, err := base58Check(addr)
	if err != nil {
		return "", err
	}
	for _, version := range versions {
		if strings.HasPrefix(payload, version) && len(payload) == len(version)+20 {
			if chain == "ltc" && version == litecoinOldScript {
				return encodeBase58Check([]byte(litecoinScript + payload[1:])), nil
			}
			return addr, nil
		}
	}
	return "", errWalletForm
}

// genericAddress is one of a chain whose form we do not know: kept as it is.
func genericAddress(addr string) (string, error) {
	for i := range len(addr) {
		if c := addr[i]; !isUnreserved(c) && c != ':' && c != '/' && c != '+' && c != '=' {
			return "", errWalletChars
		}
	}
	if addr == "" {
		return "", errWalletForm
	}
	return addr, nil
}

func isEVM(addr string) bool {
	if len(addr) != 42 || addr[0] != '0' || addr[1]|0x20 != 'x' {
		return false
	}
	_, err := hex.DecodeString(addr[2:])
	return err == nil
}

// evmAddress gives the address in lower case. Mixed case is a checksum: a letter
// is a capital where the Keccak-256 of the lower-case digits has a nibble of 8
// or more (EIP-55).
func evmAddress(addr string) (string, error) {
	if !isEVM(addr) {
		return "", errWalletForm
	}
	digits := addr[2:]
	lower := strings.ToLower(digits)
	if digits == lower || digits == strings.ToUpper(digits) {
		return "0x" + lower, nil
	}
	keccak := sha3.NewLegacyKeccak256()
	keccak.Write([]byte(lower))
	sum := keccak.Sum(nil)
	for i := range len(digits) {
		if nibble := sum[i/2] >> (4 - i%2*4) & 15; !isDigit(lower[i]) && (nibble >= 8) != isCapital(digits[i]) {
			return "", errEIP55
		}
	}
	return "0x" + lower, nil
}

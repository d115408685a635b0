package client

import (
	"strings"
	"sync"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// moreCountries are the names that public lists use beside those of the Unicode
// CLDR, folded.
var moreCountries = map[string]string{
	"bahamas, the": "BS", "bolivia (plurinational state of)": "BO", "brunei darussalam": "BN", "burma": "MM",
	"cabo verde": "CV", "congo": "CG", "congo, democratic republic of the": "CD", "congo, republic of the": "CG",
	"cote d'ivoire": "CI", "czech republic": "CZ", "democratic people's republic of korea": "KP",
	"democratic republic of the congo": "CD", "gambia, the": "GM", "hong kong": "HK",
	"iran (islamic republic of)": "IR", "korea, north": "KP", "korea, south": "KR",
	"lao people's democratic republic": "LA", "macau": "MO", "macedonia, the former yugoslav republic of": "MK",
	"micronesia, federated states of": "FM", "palestinian": "PS", "palestine": "PS", "state of palestine": "PS",
	"republic of korea": "KR", "republic of moldova": "MD", "russian federation": "RU", "sao tome and principe": "ST",
	"swaziland": "SZ", "syrian arab republic": "SY", "the gambia": "GM", "türkiye": "TR", "uk": "GB",
	"united kingdom of great britain and northern ireland": "GB", "united republic of tanzania": "TZ",
	"united states of america": "US", "us": "US", "venezuela (bolivarian republic of)": "VE", "viet nam": "VN",
}

// countryCodes maps folded English names to ISO 3166-1 codes.
var countryCodes = sync.OnceValue(func() map[string]string {
	codes := map[string]string{}
	names := display.English.Regions()
	for first := 'A'; first <= 'Z'; first++ {
		for second := 'A'; second <= 'Z'; second++ {
			code := string([]rune{first, second})
			region, err := language.ParseRegion(code)
			if err == nil && region.IsCountry() && region.String() == code && region.Canonicalize() == region {
				codes[foldCountry(names.Name(region))] = code
			}
		}
	}
	for name, code := range moreCountries {
		codes[name] = code
	}
	return codes
})

var countrySpelling = strings.NewReplacer("’", "'", "&", "and", "st. ", "saint ")

func foldCountry(name string) string {
	return countrySpelling.Replace(strings.ToLower(strings.Join(strings.Fields(name), " ")))
}

// countryOf gives the code of a country by its English name, or nothing.
func countryOf(name string) string {
	if name = foldCountry(name); name == "" {
		return ""
	}
	return countryCodes()[name]
}

package rules

import (
	"slices"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/risknet/risknet/risk"
)

// fact is one name that a rule may use. Exactly one getter is set; it gives the
// fact its type.
type fact struct {
	name, doc, zh string

	flag  func(*Facts) bool
	num   func(*Facts) int64
	text  func(*Facts) string
	codes func(*Facts) []uint16

	about    subjects // the subjects that the fact speaks of; 0 for the payment
	moves    bool     // it is of what this node has seen itself
	presence bool     // it speaks of them whether they are listed or not
	size     uint64   // the most characters or codes; for the cost proof
}

// table is every fact by its name, in the order of the documentation.
type table struct {
	facts  []*fact
	byName map[string]*fact
	names  []string // facts and constants, sorted
}

// FactDoc documents one fact for a person who writes rules.
type FactDoc struct {
	Name    string
	Type    string // bool, int, string or list(int)
	Doc     string
	Chinese string
}

// FactDocs lists every fact and every constant that a rule may name.
func FactDocs() []FactDoc {
	var docs []FactDoc
	for _, f := range newTable(0).facts {
		docs = append(docs, FactDoc{f.name, f.celType().String(), f.doc, f.zh})
	}
	for a := risk.Allow; a.Valid(); a++ {
		docs = append(docs, FactDoc{constantName(a), "int", "the advice " + a.String(), "建议等级"})
	}
	return docs
}

// newTable builds the table for rule sets whose hours are counted at an offset
// from UTC.
func newTable(offset time.Duration) *table {
	t := &table{byName: map[string]*fact{}}
	t.addPayment(offset)
	t.addAbout("any", "any subject", "任一主体", subjectAny, func(f *Facts) *About { return &f.Any })
	for r := risk.Role(1); r < risk.Roles; r++ {
		at := func(f *Facts) *About { return &f.ByRole[r] }
		t.addAbout(r.String(), "the "+r.String(), roleZH[r], roleBit(r), at)
		if r != risk.RoleOther {
			t.addMoves(r.String(), "the "+r.String(), roleZH[r], roleBit(r), at)
		}
	}
	for k := risk.Kind(1); k < risk.Kinds; k++ {
		at := func(f *Facts) *About { return &f.ByKind[k] }
		t.addAbout(k.String(), "a subject of kind "+k.String(), kindZH[k], kindBit(k), at)
		t.addMoves(k.String(), "the first subject of kind "+k.String(), kindZH[k], kindBit(k), at)
	}
	for a := risk.Allow; a.Valid(); a++ {
		t.names = append(t.names, constantName(a))
	}
	slices.Sort(t.names)
	return t
}

var roleZH = [risk.Roles]string{risk.RolePayer: "付款方", risk.RolePayee: "收款方", risk.RoleOther: "其他方"}

var kindZH = [risk.Kinds]string{
	risk.KindMerchant: "商户", risk.KindPerson: "个人", risk.KindCompany: "企业", risk.KindAccount: "账户",
	risk.KindCard: "银行卡", risk.KindPhone: "手机号", risk.KindEmail: "邮箱", risk.KindDevice: "设备",
	risk.KindTerminal: "终端", risk.KindIP: "IP 地址", risk.KindDomain: "域名", risk.KindURL: "网址",
	risk.KindWallet: "钱包", risk.KindMiniProgram: "小程序", risk.KindAgent: "外包服务机构", risk.KindStore: "门店",
}

func (t *table) add(f *fact) {
	t.facts = append(t.facts, f)
	t.names = append(t.names, f.name)
	t.byName[f.name] = f
}

func (t *table) addPayment(offset time.Duration) {
	text := func(name, doc, zh string, size uint64, get func(*Facts) string) {
		t.add(&fact{name: "payment." + name, doc: doc, zh: zh, text: get, size: size})
	}
	num := func(name, doc, zh string, get func(*Facts) int64) {
		t.add(&fact{name: "payment." + name, doc: doc, zh: zh, num: get})
	}
	num("amount", "minor units of the currency: 1 yuan is 100", "金额，最小货币单位（分）", func(f *Facts) int64 { return f.Payment.Amount })
	text("currency", "ISO 4217 alphabetic code", "币种", 3, func(f *Facts) string { return f.Payment.Currency })
	text("mcc", "ISO 18245 merchant category code, four digits", "商户类别码", 4, func(f *Facts) string { return f.Payment.MCC })
	text("channel", "the payment channel", "渠道", risk.MaxNameBytes, func(f *Facts) string { return f.Payment.Channel })
	text("scene", "the payment scene", "场景", risk.MaxNameBytes, func(f *Facts) string { return f.Payment.Scene })
	text("country", "where the payment is accepted, ISO 3166 alpha-2", "受理国家或地区", 2, func(f *Facts) string { return f.Payment.Country })
	text("payer_country", "where the payer's account is held, ISO 3166 alpha-2", "付款账户所在国家或地区", 2, func(f *Facts) string { return f.Payment.PayerCountry })
	text("purpose", "what the check is for", "数据用途", risk.MaxNameBytes, func(f *Facts) string { return purposeNames[f.Payment.Purpose&risk.AllPurposes] })
	num("hour", "hour of the day at the set's utc_offset, 0 to 23; -1 when the time is not known", "小时", func(f *Facts) int64 { return hourOf(f.Payment.Time, offset) })
	num("weekday", "1 Monday to 7 Sunday at the set's utc_offset; -1 when the time is not known", "星期", func(f *Facts) int64 { return weekdayOf(f.Payment.Time, offset) })
}

func (t *table) addAbout(prefix, who, zh string, bit subjects, at func(*Facts) *About) {
	flag := func(name, doc, zhDoc string, get func(*About) bool) {
		t.add(&fact{name: prefix + "." + name, doc: who + " " + doc, zh: zh + zhDoc, about: bit,
			flag: func(f *Facts) bool { return get(at(f)) }})
	}
	num := func(name, doc, zhDoc string, get func(*About) int64) {
		t.add(&fact{name: prefix + "." + name, doc: doc + who, zh: zh + zhDoc, about: bit,
			num: func(f *Facts) int64 { return get(at(f)) }})
	}
	flag("present", "takes part in the payment", "出现在交易中", func(a *About) bool { return a.Present })
	t.byName[prefix+".present"].presence = true
	flag("listed", "has a listing in force that does not protect it as a victim", "有生效名单", func(a *About) bool { return a.Suspect })
	num("level", "the gravest level, 1 (gravest) to 3, 0 for none, of listings about ", "最高风险等级", func(a *About) int64 { return int64(a.Level) })
	t.add(&fact{name: prefix + ".codes", doc: "risk codes of listings about " + who, zh: zh + "风险类型代码", about: bit, size: MaxCodes,
		codes: func(f *Facts) []uint16 { return at(f).Codes }})
	num("reporters", "how many institutions report ", "报送机构数", func(a *About) int64 { return int64(a.Reporters) })
	num("origins", "how many independent origins speak of ", "独立来源数", func(a *About) int64 { return int64(a.Origins) })
	num("confidence", "0 to 1000: what the listings under the policy come to, about ", "可信度", func(a *About) int64 { return int64(a.Confidence) })
	flag("authority", "is listed on the word of an authority", "由有权机构列入", func(a *About) bool { return a.Authority })
	flag("own", "is reported by this node's own institution", "由本机构报送", func(a *About) bool { return a.Own })
	flag("black", "is on a black list", "在黑名单", func(a *About) bool { return a.Black })
	flag("hint", "is on a hint list", "在风险提示名单", func(a *About) bool { return a.Hint })
	flag("watch", "is on a watch list", "在观察名单", func(a *About) bool { return a.Watch })
	flag("victim", "is protected as a victim", "是受害人", func(a *About) bool { return a.Victim })
	num("advice", "the hardest advice, 0 for none, of listings about ", "名单建议措施", func(a *About) int64 { return int64(a.Advice) })
}

var purposeNames = func() (names [risk.AllPurposes + 1]string) {
	for p := range names {
		if p > 0 {
			names[p] = risk.Purpose(p).String()
		}
	}
	return names
}()

const (
	hourMillis = int64(time.Hour / time.Millisecond)
	dayMillis  = 24 * hourMillis
)

func hourOf(at int64, offset time.Duration) int64 {
	if at <= 0 {
		return -1
	}
	return (at + offset.Milliseconds()) % dayMillis / hourMillis
}

func weekdayOf(at int64, offset time.Duration) int64 {
	if at <= 0 {
		return -1
	}
	// The epoch, day 0, was a Thursday.
	return ((at+offset.Milliseconds())/dayMillis+3)%7 + 1
}

func (f *fact) celType() *cel.Type {
	switch {
	case f.flag != nil:
		return cel.BoolType
	case f.num != nil:
		return cel.IntType
	case f.text != nil:
		return cel.StringType
	default:
		return cel.ListType(cel.IntType)
	}
}

func (f *fact) value(facts *Facts) ref.Val {
	switch {
	case f.flag != nil:
		return types.Bool(f.flag(facts))
	case f.num != nil:
		return types.Int(f.num(facts))
	case f.text != nil:
		return types.String(f.text(facts))
	}
	codes := f.codes(facts)
	list := make([]int64, len(codes))
	for i, code := range codes {
		list[i] = int64(code)
	}
	return types.DefaultTypeAdapter.NativeToValue(list)
}

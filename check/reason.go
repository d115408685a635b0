package check

import (
	"fmt"
	"math"
	"time"

	"github.com/risknet/risknet/risk"
	"github.com/risknet/risknet/rules"
)

// nobody stands in a reason that is about no subject.
const nobody = -1

// listingReason speaks for a listing. Its advice is what the listing adds to
// this verdict: allow where it is for another phase or overridden.
func listingReason(f standing, advice risk.Advice, state risk.ListingState) risk.Reason {
	l, b := &f.Listing, &f.Body
	r := risk.Reason{
		Listing: l.ID, Code: l.Item.Code, Level: l.Item.Level, Advice: advice,
		Text: b.Note, TextZH: b.NoteZH, Subject: f.subject,
		List: l.Item.List, Part: b.Part, Reporter: l.Reporter,
		ReportedAt: l.ReportedAt, Expires: l.Item.Expiry, State: state, Taken: l.Taken,
	}
	if r.Text == "" {
		r.Text = fmt.Sprintf("%s is on the %s list, level %d, code %02d", l.Item.Kind, r.List, r.Level, r.Code)
	}
	if r.TextZH == "" {
		r.TextZH = fmt.Sprintf("%s，风险等级%d，类型%02d", listZH[min(int(r.List), len(listZH)-1)], r.Level, r.Code)
	}
	if b.Exit != (risk.Exit{}) {
		r.Exit = &b.Exit
	}
	return r
}

var listZH = [...]string{"名单", "黑名单", "风险提示信息", "观察名单"}

func overrideReason(o *Override, subject int) risk.Reason {
	text := o.Comment
	if text == "" {
		text = "this institution's own exception"
	}
	return risk.Reason{Rule: risk.ReasonOverride, Advice: o.Advice, Text: text,
		TextZH: "本机构自定义例外", Subject: subject, Expires: o.Expires}
}

func protectedReason(p *risk.Protected, subject int) risk.Reason {
	return risk.Reason{Rule: risk.ReasonProtected, Advice: risk.Allow, Subject: subject, Expires: p.Expiry,
		Text:   fmt.Sprintf("%s is protected (%s): reports advise no more than step_up; %s", p.Kind, p.Body.Covers, p.Body.Comment),
		TextZH: "该主体受保护，报送信息最多建议核验"}
}

func damageReason(kind risk.Kind, subject int, advice risk.Advice) risk.Reason {
	return risk.Reason{Rule: risk.ReasonDamage, Advice: advice, Subject: subject,
		Text:   fmt.Sprintf("%s is listed, and this node cannot read its listings", kind),
		TextZH: "该主体在名单中，但本节点无法读取名单内容"}
}

func staleReason(age, limit time.Duration, advice risk.Advice) risk.Reason {
	text := fmt.Sprintf("this node last knew %v ago that its view was complete; the limit is %v", age.Round(time.Millisecond), limit)
	if age == math.MaxInt64 {
		text = fmt.Sprintf("this node does not know yet that its view is complete; the limit is %v", limit)
	}
	return risk.Reason{Rule: risk.ReasonStale, Advice: advice, Subject: nobody,
		Text: text, TextZH: "本节点数据已超过允许的时效"}
}

func ruleReason(r *rules.Rule, given risk.Advice) risk.Reason {
	return risk.Reason{Rule: r.ID, Code: r.Code, Advice: given, Text: r.ReasonEN, TextZH: r.ReasonZH, Subject: nobody}
}

func failedReason(r *rules.Rule, advice risk.Advice) risk.Reason {
	return risk.Reason{Rule: risk.ReasonError, Code: r.Code, Advice: advice, Subject: nobody,
		Text:   fmt.Sprintf("rule %q failed; what the set declares for a failing rule stands in", r.ID),
		TextZH: fmt.Sprintf("规则 %q 运行失败，按规则集声明的措施处理", r.ID)}
}

func noProgramReason(version uint32, advice risk.Advice) risk.Reason {
	return risk.Reason{Rule: risk.ReasonError, Advice: advice, Subject: nobody,
		Text:   fmt.Sprintf("rule set %d does not compile on this node, and there is none to fall back on", version),
		TextZH: fmt.Sprintf("规则集 %d 无法在本节点编译，且没有可用的旧版本", version)}
}

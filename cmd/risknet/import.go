package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// reportFlags are the fields of a listing that can be set for a whole import.
var reportFlags = []struct{ name, value, usage string }{
	{"code", "99", "risk code (PCAC); any code goes with any kind"},
	{"level", "2", "1 (gravest), 2 or 3"},
	{"list", "black", "black, hint or watch"},
	{"expires", "720h", "when the listings end: a duration such as 30d, or a time"},
	{"advice", "", "allow … deny (default deny on the black list, step_up at level 3 or on the hint list, observe on the watch list)"},
	{"origin", "own", "own, authority:NAME or copy:NAME; of un-xml and ofac-sdn it is their authority"},
	{"tier", "2", "standard of proof: 0 suspicion, 1 probable, 2 established, 3 judged"},
	{"role", "suspect", "suspect, victim or linked"},
	{"category", "", "category of the risk"},
	{"purposes", "all", "what the data may be used for: onboarding+transaction_screening+aml+investigation"},
	{"phases", "", "pre+in+post (default all)"},
	{"legal-basis", "", "legal basis"},
	{"channel", "", "source channel (PCAC)"},
	{"reference", "", "the authority's own number"},
	{"handling", "0", "what the reporter did (PCAC handling result)"},
	{"occurred-from", "", "when it began"}, {"occurred-to", "", "when it ended"},
	{"found", "", "when it was found"}, {"effective", "", "from when it counts"}, {"review", "", "when to look again"},
	{"source-date", "", "when the source last said so (default: when the file was changed)"},
	{"note", "", "note in English"}, {"note-zh", "", "note in Chinese"},
	{"exit-how", "", "how to get out"}, {"exit-papers", "", "papers needed"},
	{"exit-whom", "", "whom to ask"}, {"exit-days", "7", "answered within so many days"},
}

type importOptions struct {
	kind, format, rejects string
	columns               []string
	dryRun, yes, sync     bool
}

func newListImportCommand() *cobra.Command {
	var o importOptions
	cmd := &cobra.Command{Use: "import --kind KIND FILE", Short: "Report a file of identifiers",
		Long: "Reports every identifier of a file (- is standard input). What stands already is\n" +
			"unchanged, so an import that was broken off is simply run again. A bad line is\n" +
			"rejected by number and reason, and the rest goes on.\n\n" +
			"The published lists of the UN Security Council (un-xml) and of the US Treasury\n" +
			"(ofac-sdn, its sdn.csv) name identifiers of several kinds; --kind takes those of one.\n\n" +
			"A record with a delisted date that has passed is not listed; if this institution\n" +
			"lists it in the same source's name, that ends. With --sync so does what the file\n" +
			"does not name any more.",
		Example: "  risknet list import --kind ip --format ipsum ipsum.txt\n" +
			"  risknet list import --format csv --column number=phone --column why=note --level 1 phones.csv\n" +
			"  risknet list import --format csv --column domain=domain --column since=listed --column until=delisted --sync domains.csv\n" +
			"  risknet list import --format un-xml --expires 90d --sync consolidated.xml",
		Args: cobra.ExactArgs(1)}
	kind := kindFlag(cmd, "what the values name")
	flags := cmd.Flags()
	flags.StringVar(&o.format, "format", "values", "values, csv, ndjson, ipsum, un-xml or ofac-sdn")
	flags.StringArrayVar(&o.columns, "column", nil, "use column `name=field` of a csv or ndjson file; may be repeated")
	flags.StringVar(&o.rejects, "rejects", "", "write rejected lines to this `file` (default FILE.rejects.csv in the working directory)")
	flags.BoolVar(&o.dryRun, "dry-run", false, "read, normalise and check every line, and send nothing")
	flags.BoolVar(&o.yes, "yes", false, "do not ask, and let --sync lift more than the half")
	flags.BoolVar(&o.sync, "sync", false, "lift what this institution said in the source's name and the file does not name any more")
	for _, f := range reportFlags {
		flags.String(f.name, f.value, f.usage)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.kind = *kind
		return runImport(cmd, o, args[0])
	}
	return cmd
}

func runImport(cmd *cobra.Command, o importOptions, path string) error {
	template, err := reportTemplate(cmd, o.kind)
	if err != nil {
		return err
	}
	file, size, changed, err := openInput(cmd, path)
	if err != nil {
		return err
	}
	defer file.Close()
	options, err := rowOptions(o.format, o.columns)
	if err != nil {
		return err
	}
	m := newMeter(cmd, "import", size)
	defer m.end()
	lines, err := template.OpenRows(m.read(file), changed, options)
	if err != nil {
		return usageError{err.Error()}
	}
	noteUnused(cmd, lines)
	if o.rejects == "" {
		o.rejects = rejectsBeside(path)
	}
	rejects := &rejectsFile{path: o.rejects}
	im := &client.Importer{Template: template, Reject: rejects.add, Progress: m.done, Sync: o.sync, Anyway: o.yes}
	if !o.dryRun || o.sync {
		c, err := prepareImport(cmd, o, path, im)
		if err != nil {
			return err
		}
		defer c.Close()
		if o.sync || lines.Delists() {
			im.Standing = c
		}
	}
	start := time.Now()
	result, err := im.Run(cmd.Context(), lines)
	m.end()
	shrunk, refused := errors.AsType[*client.ShrunkError](err)
	if refused {
		err = nil
	}
	if err := errors.Join(err, rejects.close()); err != nil {
		if result.Accepted > 0 {
			note(cmd, "import: %s taken in before it broke off; run it again to go on", counted(result.Accepted, "listing"))
		}
		return err
	}
	err = emit(cmd, importOf(result, rejects, time.Since(start)), func(w io.Writer) { printImport(w, result, rejects, o.dryRun) })
	if refused {
		err = errors.Join(shrunk, err)
	}
	return err
}

// prepareImport connects, and asks whoever sits before the terminal.
func prepareImport(cmd *cobra.Command, o importOptions, path string, im *client.Importer) (*client.Client, error) {
	if path != "-" && !o.dryRun && isTerminal(os.Stdin) && isTerminal(os.Stderr) {
		if err := confirm(cmd, o.yes, "Report %s to the whole network on the %s list?", path, im.Template.Item.List); err != nil {
			return nil, err
		}
	}
	c, signer, err := author(cmd)
	if err != nil {
		return nil, err
	}
	if o.format != "csv" && o.format != "ndjson" { // there each row may have its own code and end
		if err := fitLife(cmd, c, &im.Template); err != nil {
			c.Close()
			return nil, err
		}
	}
	if im.Reporter = signer.Reporter; !o.dryRun {
		im.To = signer
	}
	if im.Keys, err = c.Keyring(cmd.Context()); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// fitLife holds the listings' end to the longest life of their code: what nobody asked
// for is made to fit, and what somebody did is refused before anything is sent.
func fitLife(cmd *cobra.Command, c *client.Client, template *client.Report) error {
	lives, _, err := c.Lives(cmd.Context())
	if err != nil {
		return err
	}
	of := risk.Lives{Longest: lives}
	now := time.Now()
	life := time.Duration(of.Of(template.Item.Code)) * time.Millisecond
	switch {
	case template.Item.Expiry <= now.Add(life).UnixMilli():
		return nil
	case cmd.Flags().Changed("expires"):
		return usagef("expires: a listing of code %d lives %d days at most here; give --expires %dd or less", template.Item.Code, life/(24*time.Hour), life/(24*time.Hour))
	}
	template.Item.Expiry = now.Add(life - time.Minute).UnixMilli() // our clock may be ahead
	return nil
}

func reportTemplate(cmd *cobra.Command, kindName string) (client.Report, error) {
	var kind risk.Kind
	name, _ := cmd.Flags().GetString("format")
	format := client.Format(name)
	if lines := format == client.FormatValues || format == client.FormatIPsum; lines || kindName != "" {
		var err error
		if kind, err = parseKind(kindName); err != nil {
			return client.Report{}, err
		}
	}
	template := client.NewReport(kind, time.Now())
	for _, f := range reportFlags {
		value, _ := cmd.Flags().GetString(f.name)
		if f.name == "origin" && !cmd.Flags().Changed(f.name) && format.Source() != "" {
			value = "authority:" + format.Source()
		}
		if err := template.Set(strings.ReplaceAll(f.name, "-", "_"), value); err != nil {
			return client.Report{}, usageError{err.Error()}
		}
	}
	return template, nil
}

// noteUnused says which columns are not used although they bear the name of a field.
func noteUnused(cmd *cobra.Command, lines *client.RowReader) {
	if len(lines.Unused) > 0 {
		note(cmd, "columns that are fields and are not used, as others are named: %s; add --column %s=%s for each that is meant",
			strings.Join(lines.Unused, ", "), lines.Unused[0], lines.Unused[0])
	}
}

func rowOptions(format string, columns []string) (o client.RowOptions, err error) {
	if o.Format, err = client.ParseFormat(format); err != nil {
		return o, usageError{err.Error()}
	}
	for _, text := range columns {
		column, err := client.ParseColumn(text)
		if err != nil {
			return o, usageError{err.Error()}
		}
		o.Columns = append(o.Columns, column)
	}
	return o, nil
}

type importJSON struct {
	Read        int     `json:"read"`
	Accepted    int     `json:"accepted"`
	Unchanged   int     `json:"unchanged"`
	Revised     int     `json:"revised"`
	Extended    int     `json:"extended"`
	Rejected    int     `json:"rejected"`
	RejectsFile string  `json:"rejects_file"`
	Seconds     float64 `json:"seconds"`
	Size        uint64  `json:"size"`
	Ended       int     `json:"ended"`
	Lifted      int     `json:"lifted"`
}

func importOf(r client.ImportResult, rejects *rejectsFile, took time.Duration) importJSON {
	return importJSON{Read: r.Read, Accepted: r.Accepted, Unchanged: r.Unchanged, Revised: r.Revised, Extended: r.Extended,
		Rejected: r.Rejected, RejectsFile: rejects.name(), Seconds: took.Seconds(), Size: r.Size, Ended: r.Ended, Lifted: r.Lifted}
}

func printImport(w io.Writer, r client.ImportResult, rejects *rejectsFile, dry bool) {
	accepted, lifted := "accepted", "lifted"
	if dry {
		accepted, lifted = "would be accepted", "would be lifted"
	}
	fmt.Fprintf(w, "%s read: %s %s, %s unchanged, %s revised, %s extended, %s rejected\n",
		many(r.Read), many(r.Accepted), accepted, many(r.Unchanged), many(r.Revised), many(r.Extended), many(r.Rejected))
	if r.Ended+r.Lifted > 0 {
		fmt.Fprintf(w, "%s had ended at the source; %s %s\n", many(r.Ended), counted(r.Lifted, "standing listing"), lifted)
	}
	if rejects.name() != "" {
		for _, first := range rejects.first {
			fmt.Fprintf(w, "  line %d: %s\n", first.Line, first.Reason)
		}
		fmt.Fprintf(w, "all that was rejected, and why, stands in %s\n", rejects.name())
	}
	if r.Size > 0 {
		fmt.Fprintf(w, "visible from size %d\n", r.Size)
	}
}

// rejectsFile is made with the first reject. It holds raw identifiers, so only
// its owner may read it.
type rejectsFile struct {
	path  string
	file  *os.File
	out   *csv.Writer
	first []client.Reject // a few, to be shown
}

// shownRejects is how many reasons a person sees without opening the file.
const shownRejects = 3

// rejectsBeside names the file where nobody did: in the working directory.
func rejectsBeside(path string) string {
	if path == "-" {
		path = "stdin"
	}
	return filepath.Base(path) + ".rejects.csv"
}

func (r *rejectsFile) add(reject client.Reject) (err error) {
	if r.file == nil {
		if r.file, err = os.OpenFile(r.path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("rejects: %w; name a file with --rejects", err)
		}
		r.out = csv.NewWriter(r.file)
		if err := r.out.Write([]string{"line", "reason", "input"}); err != nil {
			return err
		}
	}
	if len(r.first) < shownRejects {
		r.first = append(r.first, reject)
	}
	return r.out.Write([]string{strconv.Itoa(reject.Line), reject.Reason, reject.Input})
}

func (r *rejectsFile) name() string {
	if r.file == nil {
		return ""
	}
	return r.path
}

func (r *rejectsFile) close() error {
	if r.file == nil {
		return nil
	}
	r.out.Flush()
	return errors.Join(r.out.Error(), r.file.Close())
}

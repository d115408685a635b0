package node

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/risknet/risknet/risk"
)

// Config is a node's configuration: one YAML file, whose every key can be
// overridden by an environment variable (RISKNET_NODE_ and the key in capitals,
// with _ for each dot: RISKNET_NODE_STALE_MAX_AGE). Unknown keys are refused.
// File paths are relative to the file.
type Config struct {
	// Name is what people call this node: n1.
	Name string `koanf:"name"`
	// ID is the node's id, 32 hex digits; it stands in the node's record.
	ID string `koanf:"id"`
	// Network is the network's id, 64 hex digits: the id of its founding command.
	// A data directory of another network is refused.
	Network string `koanf:"network"`
	// Data is the directory that this node alone writes.
	Data string `koanf:"data"`
	// Anchor is the directory, outside of Data and not saved with it, in which the
	// node remembers how far it has come: by it an old or copied data directory is
	// recognised.
	Anchor string `koanf:"anchor"`
	// TokenKeys is the file of token keys: lines of "EPOCH HEX", mode 0600.
	TokenKeys string `koanf:"token_keys"`
	// LogKey is the Ed25519 key (PEM PKCS#8) that signs this node's checkpoints.
	LogKey string `koanf:"log_key"`
	// Founding is a file of signed commands that begins the network. The one node
	// that has it starts as the only voter, once all the others that the commands
	// name have said that they have nothing, and brings the commands in. Then it
	// writes FILE.done beside the file, which means nothing any more.
	Founding string `koanf:"founding"`
	// Serves names further institutions whose programs may ask this node as their
	// own. A node always serves its own institution and the hub.
	Serves []string `koanf:"serves"`
	// Reporter is the reporting id, 32 hex digits, of the institution that runs this
	// node. With it the node knows its institution's stage: while that is not live,
	// each answer says that it must not be enforced. It is told to nobody.
	Reporter string `koanf:"reporter"`
	// Development opens what no production node should: gRPC reflection.
	Development bool `koanf:"development"`
	// FaultControl is a unix socket through which a test network cuts this node
	// off. Empty, as it must be in production, means that there is none.
	FaultControl string `koanf:"fault_control"`

	Listen  ListenConfig  `koanf:"listen"`
	TLS     TLSConfig     `koanf:"tls"`
	Stale   StaleConfig   `koanf:"stale"`
	Disk    DiskConfig    `koanf:"disk"`
	Journal JournalConfig `koanf:"journal"`
	Raft    RaftConfig    `koanf:"raft"`
	Limits  LimitsConfig  `koanf:"limits"`
	Log     LogConfig     `koanf:"log"`

	Dynamics DynamicsConfig `koanf:"dynamics"`
	Redis    RedisConfig    `koanf:"redis"`
}

// DynamicsConfig is what the node remembers of the payments that it was asked about
// (事中交易动态), for rules that ask for it. It stays in this process's memory.
type DynamicsConfig struct {
	// Subjects is of how many subjects, each of which takes 1,600 bytes once it is
	// seen; 0 remembers nothing, and rules that ask for it see zeros.
	Subjects int `koanf:"subjects"`
}

// ListenConfig is where the node listens. All three speak mutual TLS.
type ListenConfig struct {
	Raft string `koanf:"raft"` // host:port, for nodes alone
	API  string `koanf:"api"`  // gRPC
	HTTP string `koanf:"http"` // health, metrics, the ledger
	// Redis is a door for programs that ask a Redis set until now; see redis. Empty
	// leaves it shut.
	Redis string `koanf:"redis"`
}

// RedisConfig is about the Redis door.
type RedisConfig struct {
	// Plain leaves out TLS, so that whoever is on this machine may ask whether an
	// identifier is listed. The address must then be a loopback address.
	Plain bool `koanf:"plain"`
}

// TLSConfig names PEM files.
type TLSConfig struct {
	CA          string `koanf:"ca"`
	Certificate string `koanf:"certificate"`
	Key         string `koanf:"key"`
}

// StaleConfig is what an answer says when the node has lost touch.
type StaleConfig struct {
	// AskEvery is how often the node asks the leader what is committed: a quiet
	// view is at most so old.
	AskEvery time.Duration `koanf:"ask_every"`
	// MaxAge is how old a view may be before the policy below joins each answer.
	MaxAge time.Duration `koanf:"max_age"`
	// Advice is that policy: observe … deny. It cannot be allow.
	Advice string `koanf:"advice"`
}

// DiskConfig is how the node treats its disk.
type DiskConfig struct {
	// Reserve is how many bytes must be free on the disk of Data. With less, the
	// node takes nothing new, neither proposals nor entries nor images, and goes
	// on answering checks. A full disk would end it in the middle of a write.
	Reserve int64 `koanf:"reserve"`
	// VerifyEvery is the time between two readings of the whole state, which find rot
	// before a listing is needed that it has struck.
	VerifyEvery time.Duration `koanf:"verify_every"`
}

// JournalConfig bounds what the node remembers of the checks of its own institution,
// to alert it when a listing changes later. Either at 0 keeps no journal.
type JournalConfig struct {
	// Keep is how long a note is kept, and an alert.
	Keep time.Duration `koanf:"keep"`
	// Bytes is about how much disk the notes may take; then the oldest go early.
	Bytes int64 `koanf:"bytes"`
}

// RaftConfig tunes consensus; the defaults fit nodes within one country.
type RaftConfig struct {
	Heartbeat time.Duration `koanf:"heartbeat"`
	Election  time.Duration `koanf:"election"`
	Lease     time.Duration `koanf:"lease"`
	// CommitTimeout is how soon, at one to two of it, raft itself tells followers of a
	// commit on a quiet network. A leader hints at once, so this is for hints that were
	// lost; short ones cost every node the CPU of as many messages.
	CommitTimeout time.Duration `koanf:"commit_timeout"`
	// TrailingLogs is how many entries stay behind a snapshot for slow followers.
	TrailingLogs uint64 `koanf:"trailing_logs"`
	// TrailingBytes is how long what stays may be, in bytes, while the leader knows of no
	// server that is late, and four times that where this node does not lead. Files of
	// 64 MiB go, or stay.
	TrailingBytes uint64 `koanf:"trailing_bytes"`
	// SnapshotThreshold is how many entries come between two cuts of the log.
	SnapshotThreshold uint64        `koanf:"snapshot_threshold"`
	SnapshotInterval  time.Duration `koanf:"snapshot_interval"`
}

// LimitsConfig bounds what callers can take.
type LimitsConfig struct {
	Streams     uint32 `koanf:"streams"`     // concurrent calls on one connection
	Connections int    `koanf:"connections"` // on each listener
	// ConnectionsEach is how many of all these one certificate may have open.
	ConnectionsEach int           `koanf:"connections_each"`
	Message         int           `koanf:"message"`     // bytes of one request
	SubmitWait      time.Duration `koanf:"submit_wait"` // longest wait for a receipt
	SizeWait        time.Duration `koanf:"size_wait"`   // longest wait for min_size
	// CheckWait is how long a check may wait for its turn while many others do. What
	// would wait for longer is refused at once (RESOURCE_EXHAUSTED), so that an overload
	// costs those answers that are too many and does not make all of them late.
	CheckWait time.Duration `koanf:"check_wait"`
}

// LogConfig says how the node writes its log, to standard error.
type LogConfig struct {
	Level  string `koanf:"level"`  // debug, info, warn or error
	Format string `koanf:"format"` // text or json
}

// DefaultConfig is what holds where a file says nothing.
func DefaultConfig() Config {
	return Config{
		Data:    "data",
		Anchor:  "anchor",
		Stale:   StaleConfig{AskEvery: 250 * time.Millisecond, MaxAge: 30 * time.Second, Advice: risk.StepUp.String()},
		Disk:    DiskConfig{Reserve: 1 << 30, VerifyEvery: time.Hour},
		Journal: JournalConfig{Keep: 30 * 24 * time.Hour, Bytes: 2 << 30},
		Raft: RaftConfig{Heartbeat: 600 * time.Millisecond, Election: 600 * time.Millisecond, Lease: 300 * time.Millisecond,
			CommitTimeout: 50 * time.Millisecond, TrailingLogs: 8192, TrailingBytes: 128 << 20, SnapshotThreshold: 8192,
			SnapshotInterval: 2 * time.Minute},
		Limits: LimitsConfig{Streams: 256, Connections: 4096, ConnectionsEach: 512, Message: 4 << 20,
			SubmitWait: 10 * time.Second, SizeWait: 2 * time.Second, CheckWait: 10 * time.Millisecond},
		Log:      LogConfig{Level: "info", Format: "text"},
		Dynamics: DynamicsConfig{Subjects: 32_768},
	}
}

// maxDynamics is 3.3 GB.
const maxDynamics = 1 << 21

const envPrefix = "RISKNET_NODE_"

// LoadConfig reads a configuration file and the environment over it.
func LoadConfig(path string) (Config, error) {
	cfg := DefaultConfig()
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return cfg, fmt.Errorf("config: %s: %w; name a YAML file that can be read", path, err)
	}
	known := configKeys()
	byEnv := map[string]string{}
	for _, key := range known {
		byEnv[envPrefix+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))] = key
	}
	var unknownEnv []string
	overlay := env.Provider(".", env.Opt{Prefix: envPrefix, TransformFunc: func(name, value string) (string, any) {
		key, ok := byEnv[name]
		if !ok {
			unknownEnv = append(unknownEnv, name)
		}
		return key, value
	}})
	if err := k.Load(overlay, nil); err != nil {
		return cfg, fmt.Errorf("environment: %w", err)
	}
	for _, name := range unknownEnv {
		return cfg, fmt.Errorf("environment: %s is not a setting; write a key of the configuration file in capitals behind %s, with _ for each dot", name, envPrefix)
	}
	for _, key := range k.Keys() {
		if !slices.Contains(known, key) {
			return cfg, fmt.Errorf("config %s: %s is not a key; known keys are %s", path, key, strings.Join(known, ", "))
		}
	}
	if err := k.Unmarshal("", &cfg); err != nil {
		return cfg, fmt.Errorf("config %s: %s; write numbers in digits and durations with their unit, such as 30s", path, oneLine(err))
	}
	cfg.resolve(filepath.Dir(path))
	return cfg, cfg.check()
}

// oneLine gives what a decoder says over several lines, the last of which name
// the keys.
func oneLine(err error) string {
	_, list, found := strings.Cut(err.Error(), "\n\n")
	if !found {
		list = err.Error()
	}
	return strings.Join(strings.Split(strings.TrimSpace(list), "\n"), ", ")
}

// YAML gives the text of a configuration file; what is at its default is left out.
func (c Config) YAML() ([]byte, error) {
	k := koanf.New(".")
	defaults := map[string]any{}
	walkConfig(reflect.ValueOf(DefaultConfig()), "", func(key string, v reflect.Value) { defaults[key] = v.Interface() })
	var err error
	walkConfig(reflect.ValueOf(c), "", func(key string, v reflect.Value) {
		if reflect.DeepEqual(v.Interface(), defaults[key]) {
			return
		}
		value := v.Interface()
		if d, ok := value.(time.Duration); ok {
			value = d.String()
		}
		err = errors.Join(err, k.Set(key, value))
	})
	if err != nil {
		return nil, err
	}
	return k.Marshal(yaml.Parser())
}

func configKeys() []string {
	var keys []string
	walkConfig(reflect.ValueOf(Config{}), "", func(key string, _ reflect.Value) { keys = append(keys, key) })
	slices.Sort(keys)
	return keys
}

// walkConfig visits each setting of a configuration with its full key.
func walkConfig(v reflect.Value, prefix string, visit func(key string, v reflect.Value)) {
	for i := range v.NumField() {
		name := prefix + v.Type().Field(i).Tag.Get("koanf")
		if v.Field(i).Kind() == reflect.Struct {
			walkConfig(v.Field(i), name+".", visit)
			continue
		}
		visit(name, v.Field(i))
	}
}

func (c *Config) resolve(dir string) {
	for _, path := range []*string{&c.Data, &c.Anchor, &c.TokenKeys, &c.LogKey, &c.FaultControl, &c.Founding, &c.TLS.CA, &c.TLS.Certificate, &c.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

func (c *Config) check() error {
	if c.Name == "" {
		return errors.New("config: name: is empty; give the node a name such as n1")
	}
	if _, err := risk.ParseID(c.ID); err != nil {
		return fmt.Errorf("config: id: %w", err)
	}
	if c.Reporter != "" {
		if _, err := risk.ParseID(c.Reporter); err != nil {
			return fmt.Errorf("config: reporter: %w; give the reporting id that the hub has entered, or leave it out", err)
		}
	}
	if _, err := risk.ParseHash(c.Network); err != nil {
		return fmt.Errorf("config: network: %w; it is the id of the founding command", err)
	}
	if advice, err := risk.ParseAdvice(c.Stale.Advice); err != nil || advice == risk.Allow {
		return fmt.Errorf("config: stale.advice: %q; use observe, step_up, limit, delay_settlement, hold_funds or deny", c.Stale.Advice)
	}
	if c.Stale.AskEvery < 10*time.Millisecond {
		return fmt.Errorf("config: stale.ask_every: %s is too short; use 10ms or more, such as 250ms", c.Stale.AskEvery)
	}
	if least := max(time.Second, 4*c.Stale.AskEvery); c.Stale.MaxAge < least {
		return fmt.Errorf("config: stale.max_age: %s is too short; use %s or more, four times stale.ask_every", c.Stale.MaxAge, least)
	}
	for key, address := range map[string]string{"raft": c.Listen.Raft, "api": c.Listen.API, "http": c.Listen.HTTP} {
		if _, _, err := net.SplitHostPort(address); err != nil {
			return fmt.Errorf("config: listen.%s: %q is not host:port", key, address)
		}
	}
	if err := c.checkRedis(); err != nil {
		return err
	}
	if err := new(slog.Level).UnmarshalText([]byte(c.Log.Level)); err != nil {
		return fmt.Errorf("config: log.level: %q; use debug, info, warn or error", c.Log.Level)
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		return fmt.Errorf("config: log.format: %q; use text or json", c.Log.Format)
	}
	if c.Dynamics.Subjects < 0 || c.Dynamics.Subjects > maxDynamics {
		return fmt.Errorf("config: dynamics.subjects: %d; give 0 to %d", c.Dynamics.Subjects, maxDynamics)
	}
	if err := c.Limits.check(); err != nil {
		return err
	}
	for key, path := range map[string]string{"token_keys": c.TokenKeys, "log_key": c.LogKey, "tls.ca": c.TLS.CA, "tls.certificate": c.TLS.Certificate, "tls.key": c.TLS.Key} {
		if path == "" {
			return fmt.Errorf("config: %s: is empty; name the file", key)
		}
	}
	return c.checkDirectories()
}

// checkRedis keeps a door without TLS on this machine.
func (c *Config) checkRedis() error {
	if c.Listen.Redis == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(c.Listen.Redis)
	if err != nil {
		return fmt.Errorf("config: listen.redis: %q is not host:port; leave it out to keep the door shut", c.Listen.Redis)
	}
	if ip := net.ParseIP(host); c.Redis.Plain && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("config: redis.plain: %s is not a loopback address; name one such as 127.0.0.1, or leave plain out and speak TLS", host)
	}
	return nil
}

func (c *Config) checkDirectories() error {
	if c.Disk.VerifyEvery < time.Second {
		return fmt.Errorf("config: disk.verify_every: %s; give at least 1s, such as 1h", c.Disk.VerifyEvery)
	}
	if c.Disk.Reserve < 0 {
		return fmt.Errorf("config: disk.reserve: %d; give the bytes to keep free, 0 or more", c.Disk.Reserve)
	}
	if c.Journal.Keep < 0 || c.Journal.Bytes < 0 {
		return errors.New("config: journal: keep and bytes cannot be negative; give 0 to keep no journal, or such as 720h and 2147483648")
	}
	if inside, err := filepath.Rel(c.Data, c.Anchor); err == nil && filepath.IsLocal(inside) {
		return fmt.Errorf("config: anchor: %s lies inside data, and would go back in time with it; name another directory", c.Anchor)
	}
	for key, dir := range map[string]string{"data": c.Data, "anchor": c.Anchor} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("config: %s: %w; name a directory that this user may write", key, err)
		}
	}
	return nil
}

func (l *LimitsConfig) check() error {
	for key, limit := range map[string]int64{"streams": int64(l.Streams), "connections": int64(l.Connections), "connections_each": int64(l.ConnectionsEach),
		"submit_wait": int64(l.SubmitWait), "size_wait": int64(l.SizeWait), "check_wait": int64(l.CheckWait)} {
		if limit <= 0 {
			return fmt.Errorf("config: limits.%s: is not more than 0, so nobody would be answered; leave it out for the default", key)
		}
	}
	if l.Streams > 1<<20 { // a negative number arrives as a very large one
		return fmt.Errorf("config: limits.streams: is not a number from 1 to %d; leave it out for the default", 1<<20)
	}
	if l.Message < risk.MaxEntryBytes+1<<10 {
		return fmt.Errorf("config: limits.message: %d bytes do not hold the largest command; use %d or more", l.Message, 2*risk.MaxEntryBytes)
	}
	return nil
}

package client_test

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	"github.com/risknet/risknet/client"
	"github.com/risknet/risknet/risk"
)

// A payment system asks about each payment in the goroutine that handles it.
func ExampleAsker() {
	profile, err := client.LoadProfile("profile.yaml")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(profile, "")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	ctx := context.Background()
	a, err := client.NewAsker(ctx, c, client.AskerConfig{
		Timeout:  200 * time.Millisecond,    // of the caller's patience, all nodes together
		MaxAge:   10 * time.Second,          // of the view that answers
		Stale:    client.StaleAskAnother,    // when the own node has lost touch
		NoAnswer: risk.StepUp,               // when nobody answers in time
		Hedge:    client.Hedge{On: true},    // ask a second node when the first one is slow
		Nodes:    []string{"10.0.0.2:7442"}, // the second node of the same institution
	})
	if err != nil {
		log.Fatal(err)
	}
	defer a.Close()

	var payments sync.WaitGroup
	for _, account := range []string{"0102/6222020200112233445", "0105/6217000010001234567"} {
		payments.Go(func() {
			var q client.Question
			for field, value := range map[string]string{"payee.account": account, "payer.ip": "203.0.113.7", "amount": "1250000", "currency": "CNY"} {
				if err := q.Set(field, value); err != nil {
					log.Print(err) // the field, what is wrong with it, the cure
					return
				}
			}
			answer, err := a.Check(ctx, &q)
			if err != nil {
				log.Print(err)
				return
			}
			fmt.Println(account, answer.Advice)
			for _, reason := range answer.Reasons {
				fmt.Println("  because", reason.Rule, reason.Listing, reason.Text)
			}
		})
	}
	payments.Wait()
}

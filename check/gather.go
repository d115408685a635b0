package check

import "errors"

// gathering collects the keys of a whole state for an index. They come in the order
// of the store, which is none of their prints', and there are many: so they are
// parted by the top bits of their prints, and each part is put in order, and looked
// up again, while it is in the processor's own memory. It takes 10 bytes a key.
type gathering struct {
	parts [gatheredParts]gatheredPart
	count int
}

const (
	partBits      = 8
	gatheredParts = 1 << partBits
	// partFirst and partMost bound the pieces that a part grows by.
	partFirst, partMost = 16, 4096
)

type gatheredPart struct {
	prints [][]uint64
	sums   [][]Sum // in the shape of prints
}

func (g *gathering) add(print uint64, sum Sum) {
	g.count++
	p := &g.parts[print>>(64-partBits)]
	last := len(p.prints) - 1
	if last < 0 || len(p.prints[last]) == cap(p.prints[last]) {
		room := partFirst
		if last >= 0 {
			room = min(partMost, 2*cap(p.prints[last]))
		}
		p.prints, p.sums = append(p.prints, make([]uint64, 0, room)), append(p.sums, make([]Sum, 0, room))
		last++
	}
	p.prints[last], p.sums[last] = append(p.prints[last], print), append(p.sums[last], sum)
}

// appendTo adds the entries of a part to a list, in the order in which they came.
func (p *gatheredPart) appendTo(list []entry) []entry {
	for i, prints := range p.prints {
		for j, print := range prints {
			list = append(list, entry{print, p.sums[i][j]})
		}
	}
	return list
}

// index makes an index of all that was gathered.
func (g *gathering) index() *index {
	x := emptyIndex(baseRoom(g.count))
	x.prints, x.sums = make([]uint64, 0, g.count), make([]Sum, 0, g.count)
	var list []entry
	for i := range g.parts {
		list = inOrder(g.parts[i].appendTo(list[:0]))
		x.take(list)
	}
	x.order()
	return x
}

var errMisses = errors.New("the new filter misses a token that is listed")

// test looks up everything that was gathered.
func (g *gathering) test(x *index) error {
	for i := range g.parts {
		p := &g.parts[i]
		for j, prints := range p.prints {
			for k, print := range prints {
				want := p.sums[j][k]
				if sum, found := x.find(print); !found || !x.may(print) || sum != want && sum != 0 {
					return errMisses
				}
			}
		}
	}
	return nil
}

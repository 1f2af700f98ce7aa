package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pocketdock/pocketdock"
)

// didYouMean names the container or profile that a mistyped name was probably meant to
// be; it asks the engine, so it is for when something has failed already.
func (a *app) didYouMean(ctx context.Context, err error) string {
	if ie, ok := errors.AsType[*pocketdock.ImageError](err); ok {
		if near := a.nearProfile(ie.Image); near != "" {
			return near
		}
		return a.nearTag(ctx, ie.Image)
	}
	ce, ok := errors.AsType[*pocketdock.ContainerError](err)
	if !ok || ce.Kind != pocketdock.ErrContainerNotFound {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	list, err := a.client.List(ctx, pocketdock.ListOptions{})
	if err != nil {
		return ""
	}
	var names []string
	for _, it := range list {
		names = append(names, it.Name)
	}
	return nearest(ce.Container, names)
}

// nearProfile names the profile that a mistyped one was probably meant to be,
// given the image that it would have.
func (a *app) nearProfile(image string) string {
	list := pocketdock.Profiles()
	if a.workplace != nil {
		list = append(list, a.workplace.ownProfiles()...)
	}
	name, ok := strings.CutPrefix(strings.TrimSuffix(image, ":latest"), "pocketdock/")
	var names []string
	for _, p := range list {
		if p.Image() == image {
			return "" // it is only not built
		}
		names = append(names, p.Name)
	}
	if near := nearest(name, names); ok && near != "" {
		return "--profile " + near
	}
	return ""
}

// nearTag names the image of that name that there is, with its tag.
func (a *app) nearTag(ctx context.Context, image string) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	tags, err := a.client.ImageTags(ctx, image)
	if err != nil || len(tags) == 0 {
		return ""
	}
	repo := image
	if i := strings.LastIndexByte(image, ':'); i > strings.LastIndexByte(image, '/') {
		repo = image[:i]
	}
	return repo + ":" + strings.Join(tags[:min(3, len(tags))], ", "+repo+":")
}

// nearest is the candidate that word is probably a mistyped form of, or empty.
func nearest(word string, candidates []string) string {
	best, limit := "", max(2, len(word)/3)+1
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		if d > 0 && len(word) > 1 && strings.HasPrefix(c, word) {
			d = 1
		}
		if d < limit && d < max(len(word), len(c)) {
			best, limit = c, d
		}
	}
	return best
}

// distance is the number of letters to insert, drop, change or swap with the
// next one that makes a into b.
func distance(a, b string) int {
	x, y := []rune(a), []rune(b)
	const long = 200 // no name of ours is longer
	if len(x) > long || len(y) > long {
		return max(len(x), len(y))
	}
	rows := [3][]int{make([]int, len(y)+1), make([]int, len(y)+1), make([]int, len(y)+1)}
	for j := range rows[1] {
		rows[1][j] = j
	}
	for i := 1; i <= len(x); i++ {
		two, one, now := rows[0], rows[1], rows[2]
		now[0] = i
		for j := 1; j <= len(y); j++ {
			change := one[j-1]
			if x[i-1] != y[j-1] {
				change++
			}
			now[j] = min(change, one[j]+1, now[j-1]+1)
			if i > 1 && j > 1 && x[i-1] == y[j-2] && x[i-2] == y[j-1] {
				now[j] = min(now[j], two[j-2]+1)
			}
		}
		rows = [3][]int{one, now, two}
	}
	return rows[1][len(y)]
}

package local

// SetLimits makes segments of a builder small enough for tests.
func (b *Builder) SetLimits(rows, small int) {
	b.limits = limits{segmentRows: rows, segmentBytes: 64 << 20, smallRows: small, smallBytes: 4 << 20}
}

package replica

// InPortions makes a service hold few rows at once, and give other spaces their turn after few packs.
func (s *Service) InPortions(batch, turn int) { s.batch, s.turn = batch, turn }

#include "kernels/attention/pack.h"

namespace smidgen::kernels {

Index packed_keys_bytes(Index tokens, Index features) {
  return round_up(tokens, kAttentionPanel) * round_up(features, 4);
}

Index packed_values_bytes(Index tokens, Index features) {
  return round_up(tokens, 4) * round_up(features, kAttentionPanel);
}

}  // namespace smidgen::kernels

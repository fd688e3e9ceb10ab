#include <immintrin.h>

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define qu8_qc8w_depthwise_32c4_avxvnni depthwise_32c4_avxvnni_as_avx512vl
#include "kernels/depthwise/qu8_qc8w_depthwise_32c4_avxvnni.cc"

#include <immintrin.h>

#define _mm256_dpwssd_avx_epi32 _mm256_dpwssd_epi32
#define qu8_qc8w_winograd_6x16_avxvnni winograd_6x16_avxvnni_as_avx512vl
#include "kernels/winograd/qu8_qc8w_winograd_6x16_avxvnni.cc"

#include <immintrin.h>

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define qu8_qc8w_gemm_6x16c4_avxvnni gemm_6x16c4_avxvnni_as_avx512vl
#include "kernels/gemm/qu8_qc8w_gemm_6x16c4_avxvnni.cc"

#define qu8_qc8w_gemm_4x24c4_avxvnni gemm_4x24c4_avxvnni_as_avx512vl
#include "kernels/gemm/qu8_qc8w_gemm_4x24c4_avxvnni.cc"

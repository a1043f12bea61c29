//! Invented people: names from several cultures, with e-mail addresses, birth dates, cards and addresses that fit.

use super::random::Random;
use crate::format::time::days_from_civil;

/// A country, its currency, and the names people there have. Latin spellings, some with their accents.
pub(super) struct Culture {
    pub country: &'static str,
    pub currency: &'static str,
    given: &'static [&'static str],
    family: &'static [&'static str],
    pub cities: &'static [(&'static str, &'static str)],
    streets: &'static [&'static str],
}

pub(super) const CULTURES: [Culture; 10] = [
    Culture {
        country: "DE",
        currency: "EUR",
        given: &["Anna", "Lukas", "Jürgen", "Sophie", "Felix", "Marie", "Jonas", "Käthe", "Paul", "Lena", "Emil", "Greta"],
        family: &[
            "Schmidt", "Müller", "Weber", "Fischer", "Becker", "Schäfer", "Koch", "Wolf", "Krüger", "Vogel", "Lang", "Roth",
        ],
        cities: &[("Köln", "50667"), ("Berlin", "10115"), ("Leipzig", "04109")],
        streets: &["Hauptstraße", "Gartenweg", "Lindenallee", "Am Markt"],
    },
    Culture {
        country: "NL",
        currency: "EUR",
        given: &["Sanne", "Daan", "Bram", "Lotte", "Sem", "Fleur", "Thijs", "Noor", "Jeroen", "Maaike"],
        family: &["de Vries", "Jansen", "Bakker", "Visser", "Smit", "van Dijk", "Mulder", "Bos", "Vos", "Kok"],
        cities: &[("Utrecht", "3511 AB"), ("Rotterdam", "3011 AA"), ("Groningen", "9711 AA")],
        streets: &["Kerkstraat", "Dorpsweg", "Molenpad", "Havenkade"],
    },
    Culture {
        country: "FR",
        currency: "EUR",
        given: &["Camille", "Hugo", "Zoé", "Léa", "Louis", "Chloé", "Jules", "Inès", "Théo", "Manon"],
        family: &["Martin", "Bernard", "Dubois", "Moreau", "Lefèvre", "Roux", "Girard", "Faure", "Petit", "Blanc"],
        cities: &[("Lyon", "69001"), ("Nantes", "44000"), ("Lille", "59000")],
        streets: &["rue des Lilas", "avenue Foch", "quai du Port", "place Carnot"],
    },
    Culture {
        country: "ES",
        currency: "EUR",
        given: &["Lucía", "Mateo", "Iván", "Sofía", "Pablo", "Carmen", "Álvaro", "Elena", "Diego", "Nuria"],
        family: &["García", "López", "Núñez", "Ruiz", "Moreno", "Ortega", "Vidal", "Castro", "Ramos", "Gil"],
        cities: &[("Valencia", "46001"), ("Bilbao", "48001"), ("Sevilla", "41001")],
        streets: &["Calle Mayor", "Calle del Sol", "Paseo del Río", "Plaza Nueva"],
    },
    Culture {
        country: "GB",
        currency: "GBP",
        given: &["Oliver", "Amelia", "Harry", "Isla", "George", "Priya", "Callum", "Ffion", "Imogen", "Rhys"],
        family: &["Smith", "Jones", "Patel", "Taylor", "Evans", "Hughes", "Khan", "Clarke", "Murphy", "Reid"],
        cities: &[("Leeds", "LS1 1AA"), ("Cardiff", "CF10 1AA"), ("Glasgow", "G1 1AA")],
        streets: &["High Street", "Mill Lane", "Church Road", "Station Road"],
    },
    Culture {
        country: "PL",
        currency: "PLN",
        given: &["Zofia", "Jakub", "Łukasz", "Maja", "Piotr", "Hanna", "Kacper", "Agnieszka", "Jan", "Ewa"],
        family: &["Nowak", "Kowalska", "Wójcik", "Mazur", "Krawczyk", "Zając", "Król", "Wilk", "Lis", "Bąk"],
        cities: &[("Kraków", "31-001"), ("Gdańsk", "80-001"), ("Łódź", "90-001")],
        streets: &["ulica Polna", "ulica Lipowa", "ulica Długa", "Rynek"],
    },
    Culture {
        country: "US",
        currency: "USD",
        given: &["Emma", "Liam", "Ava", "Noah", "Mia", "Ethan", "Jasmine", "Tyler", "Grace", "Carlos"],
        family: &["Johnson", "Williams", "Brown", "Davis", "Garcia", "Miller", "Lee", "Harris", "Young", "King"],
        cities: &[("Columbus", "43215"), ("Austin", "78701"), ("Boise", "83702")],
        streets: &["Main Street", "Oak Avenue", "Maple Drive", "2nd Street"],
    },
    Culture {
        country: "TR",
        currency: "TRY",
        given: &["Elif", "Yusuf", "Zeynep", "Emre", "Ayşe", "Can", "Deniz", "Çağla", "Ömer", "Selin"],
        family: &["Yılmaz", "Kaya", "Demir", "Şahin", "Çelik", "Aydın", "Arslan", "Koç", "Kurt", "Özkan"],
        cities: &[("İzmir", "35210"), ("Ankara", "06050"), ("Bursa", "16010")],
        streets: &["Atatürk Caddesi", "Gül Sokak", "Deniz Sokak", "Cumhuriyet Caddesi"],
    },
    Culture {
        country: "IN",
        currency: "INR",
        given: &["Aarav", "Ananya", "Rohan", "Diya", "Vikram", "Meera", "Arjun", "Kavya", "Sanjay", "Nisha"],
        family: &["Sharma", "Iyer", "Reddy", "Gupta", "Nair", "Das", "Mehta", "Singh", "Rao", "Joshi"],
        cities: &[("Pune", "411001"), ("Kochi", "682001"), ("Jaipur", "302001")],
        streets: &["MG Road", "Station Road", "Lake View Road", "Gandhi Marg"],
    },
    Culture {
        country: "JP",
        currency: "JPY",
        given: &["Haruto", "Yui", "Sota", "Aoi", "Ren", "Hina", "Kaito", "Mei", "Takumi", "Rin"],
        family: &["Sato", "Suzuki", "Takahashi", "Tanaka", "Ito", "Kobayashi", "Kato", "Mori", "Abe", "Ota"],
        cities: &[("Sapporo", "060-0001"), ("Osaka", "530-0001"), ("Fukuoka", "810-0001")],
        streets: &["Chuo", "Minami", "Kita-machi", "Sakura-dori"],
    },
];

const MAIL_DOMAINS: [&str; 3] = ["example.com", "example.org", "example.net"];

/// Card number prefixes that the schemes keep for tests, with the length of the whole number.
const TEST_CARDS: [(&[u8], usize); 5] = [(b"411111", 16), (b"401288", 16), (b"555555", 16), (b"510510", 16), (b"222300", 16)];

/// One person; everything follows from the number.
pub(super) struct Person {
    number: u64,
    pub culture: &'static Culture,
    given: &'static str,
    family: &'static str,
    random: Random,
}

impl Person {
    pub fn new(seed: u64, number: u64) -> Self {
        let mut random = Random::of(seed, 0xe0, number);
        let culture = &CULTURES[random.below(CULTURES.len() as u64) as usize];
        let (given, family) = (random.pick(culture.given), random.pick(culture.family));
        Self { number, culture, given, family, random }
    }

    pub fn write_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.given.as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.family.as_bytes());
    }

    /// An address at a domain that can never receive mail; unlike others by the person's number.
    pub fn write_email(&self, out: &mut Vec<u8>) {
        let mut random = self.random.clone();
        let style = random.below(3);
        if style == 0 {
            write_ascii(out, self.given);
            out.push(b'.');
        } else if let Some(first) = self.given.chars().next() {
            write_ascii(out, first.encode_utf8(&mut [0; 4]));
        }
        write_ascii(out, self.family);
        write_base36(out, self.number);
        out.push(b'@');
        out.extend_from_slice(random.pick(&MAIL_DOMAINS).as_bytes());
    }

    /// Days since 1970-01-01; grown-ups born from 1935 to 2007.
    pub fn birth_date(&self) -> i32 {
        let mut random = self.random.clone();
        random.next();
        random.next();
        let (first, last) = (days_from_civil(1935, 1, 1), days_from_civil(2007, 12, 31));
        // The mean of two: fewer of the very young and very old.
        let span = (last - first) as u64;
        (first + ((random.below(span) + random.below(span)) / 2) as i64) as i32
    }

    /// A card number with a valid Luhn check digit, or with a wrong one.
    pub fn write_card(&self, out: &mut Vec<u8>, valid: bool) {
        let mut random = Random::of(self.random.clone().next(), 0xca, self.number);
        let (prefix, length) = random.pick(&TEST_CARDS);
        let start = out.len();
        out.extend_from_slice(prefix);
        let mut rest = self.number.wrapping_mul(7_919) ^ random.below(1_000_000_000);
        for _ in prefix.len()..length - 1 {
            out.push(b'0' + (rest % 10) as u8);
            rest /= 10;
        }
        let check = luhn_check_digit(&out[start..]);
        out.push(b'0' + if valid { check } else { (check + 1 + (rest % 8) as u8) % 10 });
    }

    pub fn write_address(&self, out: &mut Vec<u8>) {
        let mut random = Random::of(self.random.clone().next(), 0xad, self.number);
        let (city, code) = random.pick(self.culture.cities);
        let number = 1 + random.below(140);
        for part in [random.pick(self.culture.streets), " ", itoa::Buffer::new().format(number), ", ", code, " ", city] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// The digit that makes a number pass the Luhn check (ISO/IEC 7812-1, annex B).
fn luhn_check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, digit)| {
            let digit = u32::from(digit - b'0');
            if i % 2 == 0 { digit / 5 + digit * 2 % 10 } else { digit }
        })
        .sum();
    ((10 - sum % 10) % 10) as u8
}

/// Digits and small letters, the last digit first: short, and no two numbers alike.
fn write_base36(out: &mut Vec<u8>, mut number: u64) {
    loop {
        out.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            return;
        }
    }
}

/// Lower-case ASCII, accents taken off, everything else left out.
fn write_ascii(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        let plain: &[u8] = match c {
            'a'..='z' => &[c as u8],
            'A'..='Z' => &[c.to_ascii_lowercase() as u8],
            'ä' | 'Ä' => b"ae",
            'ö' | 'Ö' => b"oe",
            'ü' | 'Ü' => b"ue",
            'ß' => b"ss",
            'á' | 'Á' | 'ą' => b"a",
            'ç' | 'Ç' | 'ć' => b"c",
            'é' | 'è' | 'ę' => b"e",
            'ğ' => b"g",
            'í' | 'ı' | 'İ' => b"i",
            'ł' | 'Ł' => b"l",
            'ñ' | 'ń' => b"n",
            'ó' => b"o",
            'ş' | 'Ş' => b"s",
            'ú' => b"u",
            'ź' | 'ż' => b"z",
            _ => &[],
        };
        out.extend_from_slice(plain);
    }
}
